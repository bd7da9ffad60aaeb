/* The task board (csrc/ring/board.c, donestack.c, eventcount.c): one parent,
 * workers that may be killed before any of their steps, and the watcher that
 * learns of it.  docs/internals/task-board.md has the argument in words.
 *
 *   spin -a board.pml && gcc -O2 -DSAFETY -DNOREDUCE -o pan pan.c && ./pan
 *
 * Each step of a process is one access to shared memory; what only the parent
 * knows changes along with it.  Memory is sequentially consistent here; the
 * edges for weaker machines are in the C files.
 *
 * Claims.  Each task gets exactly one verdict (result, lost, cancelled) and
 * runs at most once; a result was written before it is delivered; a cancelled
 * task did not run; and in every state where nobody can move any more, all
 * tasks have their verdict and all cells are free.
 *
 * Each of these takes one protection out, and the claims must fail:
 *   TWO_STEP_CLAIM         a claim that records the claimer in a second step
 *   HEAD_FIRST             the head moves before the task is claimed
 *   SWEEP_FIRST            the sweep comes before the drain
 *   NO_SWEEP               nobody looks at what the dead held
 *   SWEEP_RUNNING_ONLY     finished and not pushed is overlooked
 *   NO_WAKE_AFTER_DEATH    who learns of a death wakes nobody
 *   WORKER_LOOKS_ONCE      no look at the queue after the announcement
 *   PARENT_LOOKS_ONCE      the same for the parent and the completion stack
 *   CANCEL_BY_STORE        cancel as look and store, not compare-and-swap
 *   CLAIM_BY_STORE         the same for the claim */

#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef TASKS
#define TASKS 3
#endif
#ifndef CELLS
#define CELLS 2
#endif
#ifndef MAX_DEATHS
#define MAX_DEATHS 1
#endif
#define ENTRIES (2 * CELLS)
#define NOBODY 255
#define NONE 255

#define FREE 0
#define QUEUED 1
#define RUNNING 2
#define DONE 3

#define RESULT 1
#define LOST 2
#define CANCELLED 3

/* shared: a cell's state word is {sequence, phase, owner} */
byte sequence[CELLS];
byte phase[CELLS];
byte owner[CELLS];
byte task[CELLS]; /* payload */
bool answered[CELLS];
byte next[CELLS]; /* completion stack: index + 1 */
byte done_top;
byte entry_sequence[ENTRIES];
byte entry_cell[ENTRIES];
byte head, tail;

/* shared: who sleeps */
bool announced[WORKERS];
byte wake_word[WORKERS];
byte parent_word; /* bit 0: announced; the rest: epoch */

/* the kernel */
bool asleep[WORKERS];
bool parent_asleep;
bool dead[WORKERS];
byte deaths;

/* the parent's own, under its lock */
bool locked;
bool out[CELLS];
byte note[CELLS]; /* sequences */
byte submitted;
byte settled;

/* history */
byte verdict[TASKS];
byte runs[TASKS];

inline settle(c, v) {
    assert(verdict[task[c]] == 0);
    verdict[task[c]] = v;
    assert(v != RESULT || (runs[task[c]] == 1 && answered[c]));
    assert(v != CANCELLED || runs[task[c]] == 0);
    settled++;
    out[c] = false
}

/* One exchange; the chain is nobody else's from then on. */
inline drain(c, top) {
    d_step {
        top = done_top;
        done_top = 0;
        do
        :: top == 0 -> break
        :: else ->
            c = top - 1;
            assert(out[c] && phase[c] == DONE && sequence[c] == note[c]);
            top = next[c];
            settle(c, RESULT);
            phase[c] = FREE
        od;
        c = 0
    }
}

active [WORKERS] proctype worker() provided (!dead[_pid])
{
    byte at, seq, cell, top, ticket;
    bool claimed;

look:
    atomic { at = head; seq = 0; cell = 0; top = 0; ticket = 0; claimed = false };
    if
    :: at == tail -> goto idle
    :: else
    fi;
    d_step {
        seq = entry_sequence[at % ENTRIES];
        cell = entry_cell[at % ENTRIES]
    };
#ifdef HEAD_FIRST
    atomic { if :: head == at -> head++ :: else -> goto look fi };
#endif
#ifdef CLAIM_BY_STORE
    claimed = (phase[cell] == QUEUED && sequence[cell] == seq);
    if
    :: claimed -> d_step { phase[cell] = RUNNING; owner[cell] = _pid }
    :: else
    fi;
#else
    d_step {
        if
        :: phase[cell] == QUEUED && sequence[cell] == seq ->
            phase[cell] = RUNNING;
#ifdef TWO_STEP_CLAIM
            owner[cell] = NOBODY;
#else
            owner[cell] = _pid;
#endif
            claimed = true
        :: else
        fi
    };
#ifdef TWO_STEP_CLAIM
    if
    :: claimed -> owner[cell] = _pid
    :: else
    fi;
#endif
#endif
#ifndef HEAD_FIRST
    d_step { if :: head == at -> head++ :: else fi };
#endif
    if
    :: !claimed -> goto look
    :: else
    fi;
    d_step { runs[task[cell]]++; assert(runs[task[cell]] == 1) };
    answered[cell] = true;
    phase[cell] = DONE;
push:
    atomic { top = done_top; next[cell] = top };
    atomic { if :: done_top == top -> done_top = cell + 1 :: else -> goto push fi };
    ticket = parent_word;
    if
    :: (ticket & 1) == 0 -> goto look
    :: else
    fi;
    atomic {
        if
        :: parent_word == ticket -> parent_word = (ticket + 2) & 30
        :: else -> goto look
        fi
    };
    parent_asleep = false;
    goto look;

idle:
    announced[_pid] = true;
    ticket = wake_word[_pid];
#ifndef WORKER_LOOKS_ONCE
    at = head;
    if
    :: at != tail || !announced[_pid] -> goto leave
    :: else
    fi;
#endif
    d_step { if :: wake_word[_pid] == ticket -> asleep[_pid] = true :: else fi };
end_asleep:
    !asleep[_pid];
leave:
    announced[_pid] = false;
    goto look
}

inline rouse(w) {
    wake_word[w] = (wake_word[w] + 1) & 7;
    asleep[w] = false
}

active proctype parent()
{
    byte cell, top, ticket, w;

submit:
    atomic { !locked -> locked = true };
    drain(cell, top);
    d_step {
        do
        :: cell < CELLS && out[cell] -> cell++
        :: else -> break
        od;
        w = 0
    };
    if
    :: submitted == TASKS || cell == CELLS -> goto wait
    :: else
    fi;
    /* full: past entries that nobody will take */
    do
    :: tail - head < ENTRIES -> break
    :: else ->
        top = head;
        if
        :: phase[entry_cell[top % ENTRIES]] == QUEUED &&
           sequence[entry_cell[top % ENTRIES]] ==
               entry_sequence[top % ENTRIES] -> goto wait
        :: else -> d_step { if :: head == top -> head++ :: else fi }
        fi
    od;
    atomic {
        top = 0;
        out[cell] = true;
        note[cell]++;
        task[cell] = submitted;
        answered[cell] = false;
        submitted++;
        sequence[cell] = note[cell];
        owner[cell] = NOBODY;
        phase[cell] = QUEUED
    };
    d_step {
        entry_sequence[tail % ENTRIES] = note[cell];
        entry_cell[tail % ENTRIES] = cell
    };
    tail++;
    locked = false;
    w = 0;
    do
    :: w == WORKERS -> break
    :: w < WORKERS && announced[w] ->
        announced[w] = false;
        rouse(w);
        break
    :: w < WORKERS && !announced[w] -> w++
    od;
    w = 0;

    /* change of mind */
    if
    :: true -> goto submit
    :: true
    fi;
    atomic { !locked -> locked = true };
    if
    :: out[cell] ->
        /* unless the cell got its verdict and nobody refilled it: the lock was
         * free, but only this process publishes */
#ifdef CANCEL_BY_STORE
        if
        :: phase[cell] == QUEUED -> d_step { phase[cell] = FREE; settle(cell, CANCELLED) }
        :: else
        fi
#else
        d_step {
            if
            :: phase[cell] == QUEUED && sequence[cell] == note[cell] ->
                phase[cell] = FREE;
                settle(cell, CANCELLED)
            :: else
            fi
        }
#endif
    :: else
    fi;
    d_step { cell = 0; locked = false };
    goto submit;

wait:
    atomic { locked = false; cell = 0; top = 0 };
    if
    :: settled == TASKS -> goto finished
    :: else
    fi;
    d_step { parent_word = parent_word | 1; ticket = parent_word };
#ifndef PARENT_LOOKS_ONCE
    if
    :: done_top != 0 || settled == TASKS ||
       (submitted < TASKS && submitted - settled < CELLS) -> goto leave
    :: else
    fi;
#endif
    d_step { if :: parent_word == ticket -> parent_asleep = true :: else fi };
    !parent_asleep;
leave:
    ticket = 0;
    goto submit;

finished:
    skip
}

/* SIGKILL, at any moment. */
active proctype killer()
{
    do
    :: deaths < MAX_DEATHS ->
        if
        :: d_step { !dead[0] -> dead[0] = true; asleep[0] = false; deaths++ }
        :: d_step { !dead[1] -> dead[1] = true; asleep[1] = false; deaths++ }
        fi
    :: true -> break
    od
}

/* Learns of deaths; nobody kills the parent's process, as then its workers
 * end as well. */
active proctype watcher()
{
    bool swept[WORKERS];
    byte who, cell, top;

end_watching:
    if
    :: d_step { dead[0] && !swept[0] -> who = 0; swept[0] = true }
    :: d_step { dead[1] && !swept[1] -> who = 1; swept[1] = true }
    fi;
    atomic { !locked -> locked = true };
#ifndef SWEEP_FIRST
    drain(cell, top);
#endif
#ifndef NO_SWEEP
    d_step { /* nobody else changes what the dead held */
        do
        :: cell < CELLS ->
            if
            :: out[cell] && owner[cell] == who && phase[cell] == RUNNING ->
                settle(cell, LOST);
                phase[cell] = FREE
#ifndef SWEEP_RUNNING_ONLY
            :: out[cell] && owner[cell] == who && phase[cell] == DONE ->
                settle(cell, RESULT);
                phase[cell] = FREE
#endif
            :: else
            fi;
            cell++
        :: else -> break
        od;
        cell = 0
    };
#endif
#ifdef SWEEP_FIRST
    drain(cell, top);
#endif
    locked = false;
    announced[who] = false;
#ifndef NO_WAKE_AFTER_DEATH
    who = 0;
    do
    :: who < WORKERS -> rouse(who); who++
    :: else -> break
    od;
    who = 0;
    parent_word = (parent_word + 2) & 31;
    parent_asleep = false;
#endif
    goto end_watching
}

/* `timeout` holds when nothing else can move: all must be settled then. */
active proctype monitor()
{
    byte i;
    timeout;
    assert(settled == TASKS);
    assert(done_top == 0);
    assert(!locked);
    do
    :: i < CELLS -> assert(!out[i] && phase[i] == FREE); i++
    :: else -> break
    od
}
