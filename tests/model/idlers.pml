/* Whom to wake (csrc/ring/idlers.c): a publisher, workers that sleep, spin,
 * watch as sentinel, block in tasks, leave, and may be killed before any of
 * their steps.  docs/internals/waiting.md has the argument in words.
 *
 *   spin -a idlers.pml && gcc -O2 -DSAFETY -DNOREDUCE -o pan pan.c && ./pan -E
 *
 * The queue is two counters here; that no task is lost in it is board.pml's
 * claim.  A task ends at once or blocks for ever.  The sentinel's period is
 * over whenever the model likes, and then it finds the head old: young heads
 * and queues that flow only delay what it does.
 *
 * Claim: in every state where nobody can move any more, no task is queued
 * while a worker sleeps.
 *
 * Each of these takes one protection out, and the claim must fail:
 *   NO_SENTINEL            nobody watches
 *   LOOK_ONCE              no look at the queue after the announcement
 *   RESIGN_AND_SLEEP       no look after the sentinel took its name out
 *   CHAIN_WHILE_SPINNING   who claims cares before it stops spinning
 *   NAME_UNCHECKED         nobody checks that the named one still sleeps
 *   NAME_KEPT              who wakes up does not take its names out
 *   NO_CHAIN               who claims with more queued does not care
 *   NO_PASS_ON             who leaves does not pass on
 *   NO_WAKE_AFTER_DEATH    who learns of a death wakes nobody
 *
 * Smaller searches: BLOCKING, every task blocks for ever; ALL_ASLEEP, nothing
 * is published before all have fallen asleep. */

#ifndef WORKERS
#define WORKERS 3
#endif
#ifndef TASKS
#define TASKS 2
#endif
#ifndef CPUS
#define CPUS 1
#endif
#ifndef MAX_DEATHS
#define MAX_DEATHS 0
#endif
#ifndef MAX_LEAVERS
#define MAX_LEAVERS 0
#endif
#define NONE 255

/* shared; a name is worker + 1 */
byte head, tail;
bool sleeping[WORKERS];
bool spinning[WORKERS];
bool attached[WORKERS] = true;
byte rousing;
byte sentinel;
bool ticket_good[WORKERS]; /* the wake word is still the one that was read */

/* the kernel */
bool asleep[WORKERS];
bool dead[WORKERS];

byte leavers;

#define AWAKE(w) (attached[w] && !sleeping[w] -> 1 : 0)
#define IDLE(w) (asleep[w] || !attached[w])
#if WORKERS == 3
#define ANY_SPINS (spinning[0] || spinning[1] || spinning[2])
#define COUNT_SPINS (spinning[0] + spinning[1] + spinning[2])
#define COUNT_AWAKE (AWAKE(0) + AWAKE(1) + AWAKE(2))
#else
#define ANY_SPINS (spinning[0] || spinning[1])
#define COUNT_SPINS (spinning[0] + spinning[1])
#define COUNT_AWAKE (AWAKE(0) + AWAKE(1))
#endif

inline lowest(target, except) {
    target = 0;
    do
    :: target < WORKERS && (!sleeping[target] || target == except) -> target++
    :: else -> break
    od;
    if
    :: target == WORKERS -> target = NONE
    :: else
    fi
}

inline highest(target) {
    target = WORKERS;
    do
    :: target > 0 && !sleeping[target - 1] -> target--
    :: else -> break
    od;
    if
    :: target == 0 -> target = NONE
    :: else -> target--
    fi
}

inline take_name_out(word, w) {
    d_step {
        if
        :: word == w + 1 -> word = 0
        :: else
        fi
    }
}

inline rouse(w) {
    ticket_good[w] = false;
    asleep[w] = false
}

#ifdef NO_SENTINEL
#define WATCHED true
#else
#define WATCHED (sentinel != 0)
#endif

#ifdef NAME_UNCHECKED
#define STILL_SLEEPS(w) true
#else
#define STILL_SLEEPS(w) sleeping[w]
#endif

/* pass_on() of idlers.c, each shared access a step.  Once per process, at
 * its label `pass`. */
inline pass_on(target) {
    atomic {
        lowest(target, NONE);
        if
        :: target == NONE -> goto passed
        :: else
        fi
    };
    atomic { if :: rousing != 0 -> goto passed :: else fi };
#if CPUS > 1
    atomic { if :: ANY_SPINS -> goto passed :: else fi };
#endif
    atomic { if :: COUNT_AWAKE >= CPUS -> goto appoint :: else fi };
    atomic {
        if
        :: rousing == 0 -> rousing = target + 1
        :: else -> goto passed
        fi
    };
    atomic {
        if
        :: STILL_SLEEPS(target) -> sleeping[target] = false; goto wake
        :: else
        fi
    };
    take_name_out(rousing, target);
    goto pass;
appoint:
    atomic { if :: WATCHED -> goto passed :: else fi };
    atomic {
        highest(target);
        if
        :: target == NONE -> goto passed
        :: else
        fi
    };
    atomic {
        if
        :: sentinel == 0 -> sentinel = target + 1
        :: else -> goto passed
        fi
    };
    atomic { if :: STILL_SLEEPS(target) -> goto wake :: else fi };
    take_name_out(sentinel, target);
    goto pass;
wake:
    atomic {
        ticket_good[target] = false;
#if MAX_DEATHS > 0
    };
    atomic {
#endif
        asleep[target] = false
    };
passed:
    target = 0
}

/* where pass_on() was called from */
#define RUN 0
#define LEAVE 1
#define GONE 2

#if MAX_DEATHS > 0
active [WORKERS] proctype worker() provided (!dead[_pid])
#else
active [WORKERS] proctype worker()
#endif
{
    byte target;
    byte back;
    bool claimed, named, slept, period_over, leaving;

look:
    atomic {
        if
        :: head != tail -> head++
        :: else -> goto idle
        fi
    };
claimed_one:
    atomic {
        if
#ifndef NO_CHAIN
        :: head != tail -> back = RUN; goto pass
#endif
        :: else
        fi
    };
busy:
    atomic {
        if
        :: goto blocked
#ifndef BLOCKING
        :: true
#endif
        fi
    };
    atomic {
        if
        :: COUNT_SPINS >= CPUS - 1 -> goto look
        :: else
        fi
    };
    spinning[_pid] = true;
    atomic {
        if
        :: head != tail && COUNT_SPINS <= CPUS - 1 -> head++; claimed = true
        :: true
        fi
    };
#ifdef CHAIN_WHILE_SPINNING
    spinning[_pid] = false;
    atomic {
        if
        :: claimed -> claimed = false; goto busy
        :: else -> goto look
        fi
    };
#else
    spinning[_pid] = false;
    atomic {
        if
        :: claimed -> claimed = false; goto claimed_one
        :: else -> goto look
        fi
    };
#endif

idle:
    atomic {
        sleeping[_pid] = true;
#ifdef LOOK_ONCE
        ticket_good[_pid] = true;
        goto doze
#endif
    };
awake:
    ticket_good[_pid] = true;
    atomic { if :: !sleeping[_pid] -> goto leave :: else fi };
    named = (sentinel == _pid + 1);
    atomic {
        if
        :: head == tail && named -> named = false
        :: head == tail && !named -> period_over = false; goto doze
        :: head != tail && named && slept -> goto watch
        :: else -> goto leave
        fi
    };
    take_name_out(sentinel, _pid);
#ifdef RESIGN_AND_SLEEP
    goto doze;
#else
    goto awake;
#endif

watch:
    atomic {
        if
        :: !period_over -> goto doze
        :: else -> period_over = false
        fi;
        lowest(target, _pid);
        if
        :: target == NONE -> target = 0; goto leave
        :: else
        fi
    };
    atomic {
        if
        :: sleeping[target] -> sleeping[target] = false
        :: else -> target = 0; goto doze
        fi
    };
    ticket_good[target] = false;
    atomic { asleep[target] = false; target = 0 };
doze:
    atomic {
        slept = true;
        if
        :: ticket_good[_pid] -> asleep[_pid] = true
        :: else
        fi
    };
end_asleep:
    atomic {
        if
        :: !asleep[_pid]
        :: asleep[_pid] && named -> asleep[_pid] = false; period_over = true
        :: asleep[_pid] && leavers < MAX_LEAVERS ->
            asleep[_pid] = false;
            leavers++;
            leaving = true;
            goto leave
        fi;
        named = false;
        goto awake
    };

leave:
    atomic {
        sleeping[_pid] = false;
        ticket_good[_pid] = false;
        named = false;
        slept = false;
        period_over = false
    };
    atomic {
#ifndef NAME_KEPT
        take_name_out(rousing, _pid);
        take_name_out(sentinel, _pid);
#endif
        if
        :: !leaving -> goto look
        :: else -> leaving = false
        fi
    };
    /* A signal handler ran; the worker goes for good. */
    atomic {
        if
#ifndef NO_PASS_ON
        :: head != tail -> back = LEAVE; goto pass
#endif
        :: else
        fi
    };
detach:
    attached[_pid] = false;
    atomic {
        take_name_out(rousing, _pid);
        take_name_out(sentinel, _pid);
        if
#ifndef NO_PASS_ON
        :: head != tail -> back = GONE; goto pass
#endif
        :: else -> goto blocked
        fi
    };

pass:
    pass_on(target);
    atomic {
        if
        :: back == RUN -> goto busy
        :: back == LEAVE -> back = RUN; goto detach
        :: back == GONE -> back = RUN
        fi
    };
blocked:
    false
}

active proctype publisher()
{
    byte target;

#ifdef ALL_ASLEEP
    IDLE(0) && IDLE(1) && IDLE(WORKERS - 1);
#endif
publish:
    atomic { if :: tail == TASKS -> goto finished :: else fi };
    tail++;
pass:
    pass_on(target);
    goto publish;
finished:
    skip
}

/* SIGKILL, at any moment; and who learns of it.  The builds with MAX_DEATHS=0
 * see the ends without any death. */
active proctype watcher()
{
    byte who;

    if
    :: d_step { MAX_DEATHS > 0 && !dead[0] -> dead[0] = true; who = 0 }
    :: d_step { MAX_DEATHS > 0 && !dead[1] -> dead[1] = true; who = 1 }
#if WORKERS == 3
    :: d_step { MAX_DEATHS > 0 && !dead[2] -> dead[2] = true; who = 2 }
#endif
    fi;
    d_step { /* conc_idlers_forget; the kernel first */
        asleep[who] = false;
        sleeping[who] = false;
        spinning[who] = false;
        attached[who] = false
    };
    take_name_out(rousing, who);
    take_name_out(sentinel, who);
#ifndef NO_WAKE_AFTER_DEATH
    rousing = 0;
    sentinel = 0;
    who = 0;
    do
    :: who < WORKERS ->
        ticket_good[who] = false;
        atomic { asleep[who] = false; who++ }
    :: else -> break
    od
#endif
}

/* `timeout` holds when nothing else can move. */
active proctype monitor()
{
    timeout;
    assert(tail == TASKS);
    assert(head == tail || !(asleep[0] || asleep[1] || asleep[WORKERS - 1]))
}
