/* One turn of a spin loop. */
#ifndef CONC_PLATFORM_RELAX_H
#define CONC_PLATFORM_RELAX_H

static inline void
conc_cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#else
    __asm__ volatile("" ::: "memory");
#endif
}

#endif
