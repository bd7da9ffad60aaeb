/* The task board (csrc/ring/board.c, donestack.c, eventcount.c): one parent,
 * workers that may be killed before any of their steps, and the watcher that
 * learns of it.  docs/internals/task-board.md has the argument in words.
 *
 *   spin -a board.pml && gcc -O2 -DSAFETY -DNOREDUCE -o pan pan.c && ./pan -E
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
 *   CLAIM_BY_STORE         the same for the claim
 *   PARENT_OVERTAKES       the parent makes room beyond the tail */

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

/* shared: who sleeps.  In place of an epoch, which only grows: whether the
 * word is still the one that was read, for the sleeper who holds a ticket and
 * for the notifier who is about to move it. */
bool announced[WORKERS];
bool ticket_good[WORKERS];
bool parent_announced;
bool parent_ticket_good;
bool notifier_good[WORKERS];

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

inline start(c) {
    assert(verdict[task[c]] == 0);
    runs[task[c]]++;
    assert(runs[task[c]] == 1)
}

inline move_parent_word() {
    parent_ticket_good = false;
    notifier_good[0] = false;
    notifier_good[1] = false
}

active [WORKERS] proctype worker() provided (!dead[_pid])
{
    byte at, seq, cell, top;
    bool claimed;

look:
    at = head;
    atomic {
        if
        :: at == tail -> goto idle
        :: else
        fi;
        seq = entry_sequence[at % ENTRIES];
        cell = entry_cell[at % ENTRIES]
    };
#ifdef HEAD_FIRST
    atomic {
        if
        :: head == at -> head++
        :: else -> goto look
        fi
    };
#endif
#ifdef CLAIM_BY_STORE
    claimed = (phase[cell] == QUEUED && sequence[cell] == seq);
    if
    :: claimed ->
        d_step { phase[cell] = RUNNING; owner[cell] = _pid; start(cell) }
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
            claimed = true;
            start(cell)
        :: else
        fi;
        seq = 0
    };
#ifdef TWO_STEP_CLAIM
    if
    :: claimed -> owner[cell] = _pid
    :: else
    fi;
#endif
#endif
    atomic {
#ifndef HEAD_FIRST
        if
        :: head == at -> head++
        :: else
        fi;
#endif
        at = 0;
        if
        :: claimed -> claimed = false
        :: else -> cell = 0; goto look
        fi
    };
    d_step { answered[cell] = true; phase[cell] = DONE };
push:
    atomic { top = done_top; next[cell] = top };
    atomic {
        if
        :: done_top == top -> done_top = cell + 1; cell = 0; top = 0
        :: else -> goto push
        fi
    };
    atomic {
        if
        :: parent_announced -> notifier_good[_pid] = true
        :: else -> goto look
        fi
    };
    atomic {
        if
        :: notifier_good[_pid] -> move_parent_word(); parent_announced = false
        :: else -> goto look
        fi
    };
    parent_asleep = false;
    goto look;

idle:
    atomic { announced[_pid] = true; at = 0 };
    ticket_good[_pid] = true;
#ifndef WORKER_LOOKS_ONCE
    atomic {
        if
        :: head != tail || !announced[_pid] -> goto leave
        :: else
        fi
    };
#endif
    d_step {
        if
        :: ticket_good[_pid] -> asleep[_pid] = true
        :: else
        fi
    };
end_asleep:
    !asleep[_pid];
leave:
    atomic { announced[_pid] = false; ticket_good[_pid] = false; goto look }
}

active proctype parent()
{
    byte cell, top, w;

submit:
    atomic {
        !locked -> locked = true;
        drain(cell, top);
        do
        :: cell < CELLS && out[cell] -> cell++
        :: else -> break
        od;
        if
        :: submitted == TASKS || cell == CELLS -> goto wait
        :: else
        fi
    };
    /* full: past entries that nobody will take */
    do
    :: tail - head < ENTRIES -> break
    :: else ->
        top = head;
        if
#ifndef PARENT_OVERTAKES
        :: top == tail
#endif
        :: top != tail && phase[entry_cell[top % ENTRIES]] == QUEUED &&
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
    d_step { tail++; locked = false };
    atomic { /* one of the sleepers; who exactly, and when: idlers.pml */
        if
        :: announced[0] -> w = 0
        :: announced[1] -> w = 1
        :: else -> goto woken
        fi;
        announced[w] = false
    };
    ticket_good[w] = false;
    asleep[w] = false;
woken:
    w = 0;
    if
    :: goto submit
    :: atomic { !locked -> locked = true } /* a change of mind */
    fi;
    if
#ifdef CANCEL_BY_STORE
    :: out[cell] && phase[cell] == QUEUED ->
        d_step { phase[cell] = FREE; settle(cell, CANCELLED) }
#else
    :: d_step {
           out[cell] && phase[cell] == QUEUED ->
           phase[cell] = FREE;
           settle(cell, CANCELLED)
       }
#endif
    :: else
    fi;
    d_step { cell = 0; locked = false };
    goto submit;

wait:
    atomic {
        locked = false;
        cell = 0;
        top = 0;
        if
        :: settled == TASKS -> goto finished
        :: else
        fi
    };
    d_step { parent_announced = true; parent_ticket_good = true };
#ifndef PARENT_LOOKS_ONCE
    atomic {
        if
        :: done_top != 0 || settled == TASKS ||
           (submitted < TASKS && submitted - settled < CELLS) -> goto submit
        :: else
        fi
    };
#endif
    d_step { if :: parent_ticket_good -> parent_asleep = true :: else fi };
    atomic { !parent_asleep -> parent_ticket_good = false };
    goto submit;

finished:
    skip
}

/* SIGKILL, at any moment.  Workers are all alike, so the victim is the first.
 * The build with MAX_DEATHS=0 sees the end without any death. */
active proctype killer()
{
    d_step {
        deaths < MAX_DEATHS -> dead[0] = true; asleep[0] = false; deaths++
    }
}

/* Learns of deaths; nobody kills the parent's process, as then its workers
 * end as well. */
active proctype watcher()
{
    byte cell, top;

    dead[0];
    atomic {
        !locked -> locked = true;
#ifndef SWEEP_FIRST
        drain(cell, top)
#endif
    };
#ifndef NO_SWEEP
    d_step { /* nobody else changes what the dead held */
        do
        :: cell < CELLS ->
            if
            :: out[cell] && owner[cell] == 0 && phase[cell] == RUNNING ->
                settle(cell, LOST);
                phase[cell] = FREE
#ifndef SWEEP_RUNNING_ONLY
            :: out[cell] && owner[cell] == 0 && phase[cell] == DONE ->
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
    d_step { locked = false; announced[0] = false };
#ifndef NO_WAKE_AFTER_DEATH
    ticket_good[1] = false;
    asleep[1] = false;
    d_step { move_parent_word() };
    parent_asleep = false
#endif
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
