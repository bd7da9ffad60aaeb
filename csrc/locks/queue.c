/* What queue.Queue, LifoQueue and PriorityQueue do.
 *
 * A queue is `closed` as long as nobody has asked for its mutex or one of its
 * conditions, and no subclass overrides how items are kept.  All it does is
 * then here, protected by the GIL, and waiting goes through waitlists.  Else
 * it is `open` for good, and the methods of pyconc.queue.Queue named _open_*
 * take over: they work with a real mutex and real conditions, as the
 * documentation of the standard library lets everybody do.
 *
 * Items are in `items`: a deque, or a list for the other two kinds.  Only a
 * heap runs Python code while it is changed (comparisons), so only there
 * threads have to be kept away meanwhile: `heap_owner`. */
#include "locks/awaiter.h"
#include "locks/heap.h"
#include "locks/types.h"
#include "locks/waitlist.h"
#include "platform/clock.h"
#include "platform/forks.h"
#include "py/arguments.h"

enum kind { FIFO, LIFO, PRIORITY };

struct queue {
    PyObject_HEAD
    struct pyconc_state *state;
    PyObject *items;
    PyObject *maxsize; /* as it was given */
    Py_ssize_t limit;  /* 0: none */
    Py_ssize_t unfinished;
    struct pyconc_waitlist getters; /* threads, for a chance */
    struct pyconc_waitlist putters;
    struct pyconc_waitlist getter_tasks; /* coroutines, for a chance: one whose
                                          * event loop is busy must not keep a
                                          * thread from an item */
    struct pyconc_waitlist putter_tasks;
    struct pyconc_waitlist joiners; /* for a verdict */
    struct pyconc_waitlist sorters; /* for the heap: a chance */
    uint64_t heap_owner;            /* thread state that compares, or 0 */
    uint32_t heap_forks;            /* of its process */
    /* mutex, not_empty, not_full, all_tasks_done; NULL: closed */
    PyObject *conditions[4];
    uint8_t kind; /* enum kind */
    uint8_t is_open;
    uint8_t is_shutdown;
    uint8_t overrides_hooks;
    uint8_t overrides_put; /* a subclass: put_nowait goes through it */
    uint8_t overrides_get;
};

#define QUEUE(object) ((struct queue *)(object))

/* --- items --------------------------------------------------------------- */

static Py_ssize_t
length(struct queue *self)
{
    return Py_SIZE(self->items); /* a deque has it there, too */
}

static int
is_full(struct queue *self)
{
    return self->limit > 0 && length(self) >= self->limit;
}

/* Unlike a thread's ident this is never used again. */
static uint64_t
this_thread(void)
{
    return PyThreadState_GetID(PyThreadState_Get());
}

static void
lock_heap(struct queue *self)
{
    self->heap_owner = this_thread();
    self->heap_forks = conc_forks_count();
}

static int
add_item(struct queue *self, PyObject *item)
{
    if (self->kind == FIFO) {
        PyObject *arguments[] = {self->items, item};
        PyObject *done =
            PyObject_Vectorcall(self->state->deque_append, arguments, 2, NULL);
        Py_XDECREF(done);
        return done == NULL ? -1 : 0;
    }
    if (self->kind == LIFO) {
        return PyList_Append(self->items, item);
    }
    PyObject *items = Py_NewRef(self->items);
    lock_heap(self);
    int status = pyconc_heap_push(items, item);
    self->heap_owner = 0;
    Py_DECREF(items);
    return status;
}

static PyObject *
take_item(struct queue *self)
{
    if (self->kind == FIFO) {
        return PyObject_Vectorcall(self->state->deque_popleft, &self->items, 1,
                                   NULL);
    }
    if (self->kind == LIFO) {
        Py_ssize_t last = PyList_GET_SIZE(self->items) - 1;
        PyObject *item = Py_NewRef(PyList_GET_ITEM(self->items, last));
        if (PyList_SetSlice(self->items, last, last + 1, NULL) < 0) {
            Py_CLEAR(item);
        }
        return item;
    }
    PyObject *items = Py_NewRef(self->items);
    lock_heap(self);
    PyObject *item = pyconc_heap_pop(items);
    self->heap_owner = 0;
    Py_DECREF(items);
    return item;
}

/* Wait until no other thread is comparing items.  0, or -1. */
static int
wait_for_heap(struct queue *self)
{
    struct pyconc_place *place;
    int status;

    if (self->heap_owner == 0) {
        return 0;
    }
    if (self->heap_forks != conc_forks_count() &&
        self->heap_owner != this_thread()) {
        self->heap_owner = 0; /* of a thread that is not in this process */
        return 0;
    }
    if (self->heap_owner == this_thread()) {
        PyErr_SetString(PyExc_RuntimeError,
                        "a PriorityQueue was used while it compared its own "
                        "items: in __lt__, a signal handler or a finalizer");
        return -1;
    }
    place = pyconc_place_new();
    if (place == NULL) {
        return -1;
    }
    pyconc_waitlist_join(&self->sorters, place, NULL);
    while ((status = pyconc_waitlist_wait(&self->sorters, place,
                                          CONC_NEVER)) == 0 &&
           self->heap_owner != 0) {
        pyconc_waitlist_rejoin(&self->sorters, place);
    }
    pyconc_waitlist_done(&self->sorters, place);
    pyconc_place_free(place);
    (void)pyconc_waitlist_offer(&self->sorters, self->heap_owner == 0);
    return status;
}

/* Tell everybody what there is: the last thing that a method does.  An open
 * queue notifies its conditions instead.  0, or -1 with an exception of an
 * event loop. */
static int
offer_all(struct queue *self)
{
    if (self->items == NULL || self->is_open) {
        return 0;
    }
    Py_ssize_t items = self->is_shutdown ? PY_SSIZE_T_MAX : length(self);
    Py_ssize_t room = self->is_shutdown || self->limit == 0
                          ? PY_SSIZE_T_MAX
                          : self->limit - length(self);
    (void)pyconc_waitlist_offer(&self->sorters, self->heap_owner == 0);
    (void)pyconc_waitlist_offer(&self->getters, items);
    (void)pyconc_waitlist_offer(&self->putters, room);
    int status = pyconc_waitlist_offer(&self->getter_tasks, items);
    if (pyconc_waitlist_offer(&self->putter_tasks, room) < 0) {
        status = -1;
    }
    return status;
}

static inline int
offer(struct queue *self)
{
    if (self->getters.first == NULL && self->putters.first == NULL &&
        self->getter_tasks.first == NULL && self->putter_tasks.first == NULL &&
        self->sorters.first == NULL) {
        return 0;
    }
    return offer_all(self);
}

/* Everybody looks again: the queue is shut down, or has been opened. */
static int
offer_everything(struct queue *self)
{
    (void)pyconc_waitlist_offer(&self->sorters, PY_SSIZE_T_MAX);
    (void)pyconc_waitlist_offer(&self->getters, PY_SSIZE_T_MAX);
    (void)pyconc_waitlist_offer(&self->putters, PY_SSIZE_T_MAX);
    int status = pyconc_waitlist_offer(&self->getter_tasks, PY_SSIZE_T_MAX);
    if (pyconc_waitlist_offer(&self->putter_tasks, PY_SSIZE_T_MAX) < 0) {
        status = -1;
    }
    return status;
}

/* A coroutine has left; what it was woken for goes to the next. */
static int
pass_on(PyObject *owner, struct pyconc_waitlist *list)
{
    return QUEUE(owner)->is_open ? pyconc_waitlist_offer(list, list->woken + 1)
                                 : offer_all(QUEUE(owner));
}

/* --- put and get --------------------------------------------------------- */

/* A blocking call's patience. */
struct budget {
    PyObject *block;   /* NULL: true */
    PyObject *timeout; /* NULL: None */
    int64_t deadline_ns;
    uint8_t is_known; /* deadline_ns is set: it may wait */
};

static inline int
has_timeout(const struct budget *budget)
{
    return budget->timeout != NULL && budget->timeout != Py_None;
}

/* Whether a timeout is not negative: 0, or -1 with an exception.  One that is
 * NaN does no harm until it is needed. */
static int
check_timeout(const struct budget *budget, int may_be_nan)
{
    double seconds;

    if (!has_timeout(budget)) {
        return 0;
    }
    seconds = PyFloat_AsDouble(budget->timeout);
    if (seconds == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    if (seconds < 0 || (seconds != seconds && !may_be_nan)) {
        PyErr_SetString(PyExc_ValueError,
                        "'timeout' must be a non-negative number");
        return -1;
    }
    return 0;
}

/* 0: it may wait until deadline_ns; 1: it may not; -1: bad arguments. */
static int
may_wait(struct budget *budget)
{
    if (budget->is_known) {
        return 0;
    }
    int blocks = budget->block == NULL ? 1 : PyObject_IsTrue(budget->block);
    if (blocks <= 0) {
        return blocks < 0 ? -1 : 1;
    }
    if (check_timeout(budget, 0) < 0) {
        return -1;
    }
    /* As a float: the stdlib adds it to the time. */
    PyObject *seconds = has_timeout(budget) ? PyNumber_Float(budget->timeout)
                                            : Py_NewRef(Py_None);
    if (seconds == NULL) {
        return -1;
    }
    int status = pyconc_deadline_of_lock(seconds, &budget->deadline_ns);
    Py_DECREF(seconds);
    if (status < 0) {
        return -1;
    }
    budget->is_known = 1;
    return 0;
}

/* What is left of the budget, for a method in Python: new reference. */
static PyObject *
seconds_left(const struct budget *budget)
{
    if (!budget->is_known || budget->deadline_ns == CONC_NEVER) {
        return Py_NewRef(budget->timeout == NULL ? Py_None : budget->timeout);
    }
    int64_t left_ns = budget->deadline_ns - conc_clock_now_ns();
    return PyFloat_FromDouble(left_ns > 0 ? (double)left_ns / 1e9 : 0.0);
}

enum turn {
    GO,   /* the item can be put or taken now */
    OPEN, /* the queue has been opened: the Python methods shall do it */
    STOP, /* with an exception */
};

static enum turn
stop_with(PyObject *error)
{
    PyErr_SetNone(error);
    return STOP;
}

/* Whether a put (getting: a get) can be done now.  Who may wait lets those go
 * first that have been waiting for too long. */
static inline int
is_possible(struct queue *self, int getting)
{
    return getting ? length(self) > 0 : !is_full(self);
}

/* Wait until it is possible, and nobody is at the heap.  Whatever may run
 * Python code is followed by another turn of the loop. */
static enum turn
wait_for_turn(struct queue *self, int getting, struct budget *budget)
{
    struct pyconc_waitlist *list = getting ? &self->getters : &self->putters;
    struct pyconc_place *place = NULL;
    int checked = !has_timeout(budget), waits = 1;
    enum turn turn = STOP;

    for (;;) {
        if (self->is_open) {
            turn = OPEN;
            break;
        }
        if (self->heap_owner != 0) {
            if (wait_for_heap(self) < 0) {
                break;
            }
            continue;
        }
        if (self->is_shutdown && (!getting || length(self) == 0)) {
            turn = stop_with(self->state->queue_shutdown);
            break;
        }
        if (!checked && (getting || self->limit > 0)) {
            /* A bad timeout is an error even if nobody has to wait. */
            int blocks =
                budget->block == NULL ? 1 : PyObject_IsTrue(budget->block);
            if (blocks < 0 || (blocks && check_timeout(budget, 1) < 0)) {
                break;
            }
            checked = 1;
            continue;
        }
        if (is_possible(self, getting) &&
            (list->hungry == 0 || place != NULL || !waits)) {
            turn = GO;
            break;
        }
        if (waits && !budget->is_known) {
            int status = may_wait(budget);
            if (status < 0) {
                break;
            }
            waits = status == 0;
            continue;
        }
        if (!waits) {
            turn = stop_with(getting ? self->state->queue_empty
                                     : self->state->queue_full);
            break;
        }
        if (place != NULL) {
            pyconc_waitlist_rejoin(list, place);
        }
        else {
            place = pyconc_place_new();
            if (place == NULL) {
                break;
            }
            pyconc_waitlist_join(list, place, NULL);
        }
        int status = pyconc_waitlist_wait(list, place, budget->deadline_ns);
        if (status != 0) {
            turn = status < 0 ? STOP
                              : stop_with(getting ? self->state->queue_empty
                                                  : self->state->queue_full);
            break;
        }
    }
    if (place != NULL) {
        pyconc_waitlist_done(list, place);
        pyconc_place_free(place);
    }
    return turn;
}

static inline int
has_turn(struct queue *self, int getting)
{
    return !self->is_open && self->heap_owner == 0 && !self->is_shutdown &&
           is_possible(self, getting) &&
           (getting ? &self->getters : &self->putters)->hungry == 0;
}

static int
check_made(struct queue *self)
{
    if (self->items == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "Queue.__init__() was not called");
        return -1;
    }
    return 0;
}

static int
put(struct queue *self, PyObject *item, struct budget *budget)
{
    enum turn turn = GO;
    int status;

    if (has_timeout(budget) || !has_turn(self, 0)) {
        turn = wait_for_turn(self, 0, budget);
    }
    if (turn == OPEN) {
        PyObject *left = seconds_left(budget);
        PyObject *done =
            left == NULL
                ? NULL
                : PyObject_CallMethodObjArgs(
                      (PyObject *)self, self->state->str_open_put, item,
                      budget->block == NULL ? Py_True : budget->block, left,
                      NULL);
        Py_XDECREF(left);
        Py_XDECREF(done);
        return done == NULL ? -1 : 0;
    }
    status = turn == GO ? add_item(self, item) : -1;
    self->unfinished += status == 0;
    return offer(self) < 0 ? -1 : status;
}

static PyObject *
get(struct queue *self, struct budget *budget)
{
    enum turn turn = GO;

    if (has_timeout(budget) || !has_turn(self, 1)) {
        turn = wait_for_turn(self, 1, budget);
    }
    if (turn == OPEN) {
        PyObject *left = seconds_left(budget);
        PyObject *item =
            left == NULL ? NULL
                         : PyObject_CallMethodObjArgs(
                               (PyObject *)self, self->state->str_open_get,
                               budget->block == NULL ? Py_True : budget->block,
                               left, NULL);
        Py_XDECREF(left);
        return item;
    }
    PyObject *item = turn == GO ? take_item(self) : NULL;
    if (offer(self) < 0 && item != NULL) {
        /* The item has been taken and must not be lost.  Ctrl-C comes again
         * when the caller has it. */
        if (PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) {
            PyErr_SetInterrupt();
            PyErr_Clear();
        }
        else {
            PyErr_WriteUnraisable((PyObject *)self);
        }
    }
    return item;
}

static const char *const put_names[] = {"item", "block", "timeout", NULL};
static const struct pyconc_parameters put_parameters = {"put", 1, put_names};

static PyObject *
queue_put(PyObject *object, PyObject *const *arguments, Py_ssize_t count,
          PyObject *keywords)
{
    PyObject *out[3] = {NULL, NULL, NULL};

    if (pyconc_arguments(&put_parameters, arguments, count, keywords, out) <
            0 ||
        check_made(QUEUE(object)) < 0) {
        return NULL;
    }
    struct budget budget = {.block = out[1], .timeout = out[2]};
    if (put(QUEUE(object), out[0], &budget) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static const char *const get_names[] = {"block", "timeout", NULL};
static const struct pyconc_parameters get_parameters = {"get", 0, get_names};

static PyObject *
queue_get(PyObject *object, PyObject *const *arguments, Py_ssize_t count,
          PyObject *keywords)
{
    PyObject *out[2] = {NULL, NULL};

    if (pyconc_arguments(&get_parameters, arguments, count, keywords, out) <
            0 ||
        check_made(QUEUE(object)) < 0) {
        return NULL;
    }
    struct budget budget = {.block = out[0], .timeout = out[1]};
    return get(QUEUE(object), &budget);
}

static PyObject *
queue_put_nowait(PyObject *object, PyObject *item)
{
    struct queue *self = QUEUE(object);
    struct budget budget = {.block = Py_False};

    if (check_made(self) < 0) {
        return NULL;
    }
    if (self->overrides_put) {
        PyObject *arguments[] = {object, item, Py_False};
        return PyObject_VectorcallMethod(self->state->str_put, arguments, 2,
                                         self->state->names_block);
    }
    if (put(self, item, &budget) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
queue_get_nowait(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct queue *self = QUEUE(object);
    struct budget budget = {.block = Py_False};

    if (check_made(self) < 0) {
        return NULL;
    }
    if (self->overrides_get) {
        PyObject *arguments[] = {object, Py_False};
        return PyObject_VectorcallMethod(self->state->str_get, arguments, 1,
                                         self->state->names_block);
    }
    return get(self, &budget);
}

/* --- many ---------------------------------------------------------------- */

static const char *const put_many_names[] = {"items", "block", "timeout",
                                             NULL};
static const struct pyconc_parameters put_many_parameters = {"put_many", 1,
                                                             put_many_names};

/* put() or get() (item NULL) as a subclass has it: new reference, or NULL. */
static PyObject *
call_override(struct queue *self, PyObject *item, const struct budget *budget)
{
    PyObject *left = seconds_left(budget);
    PyObject *arguments[4];
    size_t count = 0;

    if (left == NULL) {
        return NULL;
    }
    arguments[count++] = (PyObject *)self;
    if (item != NULL) {
        arguments[count++] = item;
    }
    arguments[count] = budget->block == NULL ? Py_True : budget->block;
    arguments[count + 1] = left;
    PyObject *result = PyObject_VectorcallMethod(
        item != NULL ? self->state->str_put : self->state->str_get, arguments,
        count, self->state->names_block_timeout);
    Py_DECREF(left);
    return result;
}

/* The exception says what was not put. */
static void
attach_rest(PyObject *items, Py_ssize_t done)
{
    PyObject *error = pyconc_error_take();
    PyObject *rest = PyList_GetSlice(items, done, PyList_GET_SIZE(items));

    if (rest == NULL || PyObject_SetAttrString(error, "remaining", rest) < 0) {
        PyErr_Clear();
    }
    Py_XDECREF(rest);
    pyconc_error_restore(error);
}

static PyObject *
queue_put_many(PyObject *object, PyObject *const *arguments, Py_ssize_t count,
               PyObject *keywords)
{
    PyObject *out[3] = {NULL, NULL, NULL};

    if (pyconc_arguments(&put_many_parameters, arguments, count, keywords,
                         out) < 0 ||
        check_made(QUEUE(object)) < 0) {
        return NULL;
    }
    struct budget budget = {.block = out[1], .timeout = out[2]};
    PyObject *items = PySequence_List(out[0]);
    if (items == NULL) {
        return NULL;
    }
    /* One budget for all of them. */
    if (may_wait(&budget) < 0) {
        Py_DECREF(items);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items); i++) {
        PyObject *item = PyList_GET_ITEM(items, i);
        int status;
        if (QUEUE(object)->overrides_put) {
            PyObject *done = call_override(QUEUE(object), item, &budget);
            Py_XDECREF(done);
            status = done == NULL ? -1 : 0;
        }
        else {
            status = put(QUEUE(object), item, &budget);
        }
        if (status < 0) {
            attach_rest(items, i);
            Py_DECREF(items);
            return NULL;
        }
    }
    Py_DECREF(items);
    Py_RETURN_NONE;
}

static const char *const get_many_names[] = {"max", "timeout", NULL};
static const struct pyconc_parameters get_many_parameters = {"get_many", 1,
                                                             get_many_names};

/* Whether the exception means that there are no more items at present. */
static int
is_the_end(struct queue *self)
{
    if (!PyErr_ExceptionMatches(self->state->queue_empty) &&
        !PyErr_ExceptionMatches(self->state->queue_shutdown)) {
        return 0;
    }
    PyErr_Clear();
    return 1;
}

static PyObject *
queue_get_many(PyObject *object, PyObject *const *arguments, Py_ssize_t count,
               PyObject *keywords)
{
    PyObject *out[2] = {NULL, NULL};

    if (pyconc_arguments(&get_many_parameters, arguments, count, keywords,
                         out) < 0 ||
        check_made(QUEUE(object)) < 0) {
        return NULL;
    }
    Py_ssize_t max = PyNumber_AsSsize_t(out[0], NULL);
    if (max == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (max < 1) {
        PyErr_SetString(PyExc_ValueError, "max must be one or more");
        return NULL;
    }
    struct budget budget = {.timeout = out[1]};
    PyObject *items = PyList_New(0);
    while (items != NULL && PyList_GET_SIZE(items) < max) {
        PyObject *item = QUEUE(object)->overrides_get
                             ? call_override(QUEUE(object), NULL, &budget)
                             : get(QUEUE(object), &budget);
        if (item == NULL) {
            if (PyList_GET_SIZE(items) == 0 || !is_the_end(QUEUE(object))) {
                /* An error of the items' own: those that were taken are
                 * the caller's. */
                if (PyList_GET_SIZE(items) > 0) {
                    attach_rest(items, 0);
                }
                Py_CLEAR(items);
            }
            break;
        }
        if (PyList_Append(items, item) < 0) {
            Py_CLEAR(items);
        }
        Py_DECREF(item);
        budget = (struct budget){.block = Py_False};
    }
    return items;
}

/* --- tasks --------------------------------------------------------------- */

static void
wake_joiners(struct queue *self)
{
    if (self->joiners.first != NULL) {
        (void)pyconc_waitlist_wake(&self->joiners, PY_SSIZE_T_MAX, 0);
    }
}

static PyObject *
queue_task_done(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct queue *self = QUEUE(object);

    if (self->is_open) {
        return PyObject_CallMethodNoArgs(object,
                                         self->state->str_open_task_done);
    }
    if (self->unfinished <= 0) {
        PyErr_SetString(PyExc_ValueError, "task_done() called too many times");
        return NULL;
    }
    if (--self->unfinished == 0) {
        wake_joiners(self);
    }
    Py_RETURN_NONE;
}

static PyObject *
queue_join(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct queue *self = QUEUE(object);
    while (self->unfinished != 0 && !self->is_open) {
        struct pyconc_place *place = pyconc_place_new();
        if (place == NULL) {
            return NULL;
        }
        pyconc_waitlist_join(&self->joiners, place, NULL);
        int status = pyconc_waitlist_wait(&self->joiners, place, CONC_NEVER);
        pyconc_place_free(place);
        if (status < 0) {
            return NULL;
        }
    }
    if (self->is_open) {
        return PyObject_CallMethodNoArgs(object, self->state->str_open_join);
    }
    Py_RETURN_NONE;
}

/* --- opening ------------------------------------------------------------- */

/* Make the mutex and its conditions.  0, or -1. */
static int
make_conditions(struct queue *self)
{
    PyObject *made = PyObject_CallMethodNoArgs(
        (PyObject *)self, self->state->str_make_conditions);

    if (made == NULL) {
        return -1;
    }
    if (!PyTuple_CheckExact(made) || PyTuple_GET_SIZE(made) != 4) {
        Py_DECREF(made);
        PyErr_SetString(PyExc_TypeError, "a queue needs four conditions");
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        if (self->conditions[i] == NULL) { /* another thread may be faster */
            self->conditions[i] = Py_NewRef(PyTuple_GET_ITEM(made, i));
        }
    }
    Py_DECREF(made);
    return 0;
}

static int
open_queue(struct queue *self)
{
    if (check_made(self) < 0 || wait_for_heap(self) < 0 ||
        (self->conditions[0] == NULL && make_conditions(self) < 0) ||
        wait_for_heap(self) < 0) {
        return -1;
    }
    if (self->is_open) {
        return 0;
    }
    self->is_open = 1;
    wake_joiners(self);
    return offer_everything(self);
}

static PyObject *
get_condition(PyObject *object, void *closure)
{
    if (!QUEUE(object)->is_open && open_queue(QUEUE(object)) < 0) {
        return NULL;
    }
    return Py_NewRef(QUEUE(object)->conditions[(intptr_t)closure]);
}

/* Subclasses may have locks of their own. */
static int
set_condition(PyObject *object, PyObject *condition, void *closure)
{
    if (condition == NULL) {
        PyErr_SetString(PyExc_AttributeError, "a queue needs its conditions");
        return -1;
    }
    if (!QUEUE(object)->is_open && open_queue(QUEUE(object)) < 0) {
        return -1;
    }
    Py_XSETREF(QUEUE(object)->conditions[(intptr_t)closure],
               Py_NewRef(condition));
    return 0;
}

static PyObject *
queue_shutdown(PyObject *object, PyObject *const *arguments, Py_ssize_t count,
               PyObject *keywords)
{
    static const char *const names[] = {"immediate", NULL};
    static const struct pyconc_parameters parameters = {"shutdown", 0, names};
    struct queue *self = QUEUE(object);
    PyObject *immediate = Py_False;

    if (pyconc_arguments(&parameters, arguments, count, keywords, &immediate) <
            0 ||
        check_made(self) < 0) {
        return NULL;
    }
    int drops = PyObject_IsTrue(immediate);
    /* Items' finalizers run when the queue is in order again. */
    PyObject *dropped =
        drops > 0 && !self->is_open ? PySequence_List(self->items) : NULL;
    if (drops < 0 || PyErr_Occurred() || wait_for_heap(self) < 0) {
        Py_XDECREF(dropped);
        return NULL;
    }
    if (self->is_open) {
        Py_XDECREF(dropped);
        return PyObject_CallMethodOneArg(
            object, self->state->str_open_shutdown, immediate);
    }
    self->is_shutdown = 1;
    PyObject *cleared = Py_None;
    if (drops) {
        Py_ssize_t items = length(self);
        self->unfinished -=
            items < self->unfinished ? items : self->unfinished;
        cleared =
            PyObject_CallMethodNoArgs(self->items, self->state->str_clear);
        Py_XDECREF(cleared);
        wake_joiners(self);
    }
    int status = offer_everything(self);
    Py_XDECREF(dropped);
    return cleared == NULL || status < 0 ? NULL : Py_NewRef(Py_None);
}

/* --- what it shows ------------------------------------------------------- */

static PyObject *
queue_qsize(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    if (QUEUE(object)->is_open) {
        return PyObject_CallMethodNoArgs(object,
                                         QUEUE(object)->state->str_open_qsize);
    }
    return check_made(QUEUE(object)) < 0
               ? NULL
               : PyLong_FromSsize_t(length(QUEUE(object)));
}

/* As qsize(), which a subclass may keep otherwise.  -1 with an exception. */
static Py_ssize_t
size_of(PyObject *object)
{
    if (check_made(QUEUE(object)) < 0) {
        return -1;
    }
    if (!QUEUE(object)->is_open) {
        return length(QUEUE(object));
    }
    PyObject *size = queue_qsize(object, NULL);
    Py_ssize_t number = size == NULL ? -1 : PyNumber_AsSsize_t(size, NULL);
    Py_XDECREF(size);
    return number;
}

static PyObject *
queue_empty(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    Py_ssize_t size = size_of(object);

    return size == -1 && PyErr_Occurred() ? NULL : PyBool_FromLong(size == 0);
}

static PyObject *
queue_full(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    Py_ssize_t size = size_of(object);

    if (size == -1 && PyErr_Occurred()) {
        return NULL;
    }
    return PyBool_FromLong(QUEUE(object)->limit > 0 &&
                           size >= QUEUE(object)->limit);
}

static PyObject *
queue_awaiter(PyObject *object, PyObject *getting)
{
    int gets = PyObject_IsTrue(getting);

    if (gets < 0 || check_made(QUEUE(object)) < 0) {
        return NULL;
    }
    return pyconc_awaiter_new(QUEUE(object)->state, object,
                              gets ? &QUEUE(object)->getter_tasks
                                   : &QUEUE(object)->putter_tasks,
                              pass_on);
}

/* An open queue has notified: n coroutines shall look. */
static PyObject *
queue_notify_tasks(PyObject *object, PyObject *arguments)
{
    int getting;
    Py_ssize_t n;

    if (!PyArg_ParseTuple(arguments, "pn:_pyconc_notify_tasks", &getting,
                          &n)) {
        return NULL;
    }
    struct pyconc_waitlist *list =
        getting ? &QUEUE(object)->getter_tasks : &QUEUE(object)->putter_tasks;
    if (n > 0 && pyconc_waitlist_offer(list, n < PY_SSIZE_T_MAX - list->woken
                                                 ? list->woken + n
                                                 : PY_SSIZE_T_MAX) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
get_items(PyObject *object, void *Py_UNUSED(closure))
{
    return check_made(QUEUE(object)) < 0 ? NULL
                                         : Py_NewRef(QUEUE(object)->items);
}

static int
set_items(PyObject *object, PyObject *items, void *Py_UNUSED(closure))
{
    struct queue *self = QUEUE(object);

    if (items == NULL) {
        PyErr_SetString(PyExc_AttributeError, "a queue needs its items");
        return -1;
    }
    PyTypeObject *wanted =
        self->kind == FIFO ? self->state->deque_type : &PyList_Type;
    if (!self->is_open && Py_TYPE(items) != wanted) {
        /* Some other container: only Python's methods can use it. */
        if (self->items == NULL) {
            self->items = Py_NewRef(items);
        }
        if (open_queue(self) < 0) {
            return -1;
        }
    }
    if (wait_for_heap(self) < 0) {
        return -1;
    }
    Py_XSETREF(self->items, Py_NewRef(items));
    return self->is_open ? 0 : offer(self);
}

static PyObject *
get_maxsize(PyObject *object, void *Py_UNUSED(closure))
{
    PyObject *maxsize = QUEUE(object)->maxsize;

    return maxsize == NULL ? PyLong_FromLong(0) : Py_NewRef(maxsize);
}

/* How many items a maxsize allows; 0: any number.  -1 with an exception. */
static Py_ssize_t
limit_of(PyObject *maxsize)
{
    double number = PyFloat_AsDouble(maxsize);

    if (number == -1.0 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError)) {
            return -1;
        }
        PyErr_Clear(); /* a huge int, with whatever sign */
        return 0;
    }
    if (!(number > 0) || number >= (double)PY_SSIZE_T_MAX) {
        return 0;
    }
    Py_ssize_t limit = (Py_ssize_t)number;
    return (double)limit < number ? limit + 1 : limit;
}

static int
set_maxsize(PyObject *object, PyObject *maxsize, void *Py_UNUSED(closure))
{
    if (maxsize == NULL) {
        PyErr_SetString(PyExc_AttributeError, "a queue needs its maxsize");
        return -1;
    }
    Py_ssize_t limit = limit_of(maxsize);
    if (limit < 0) {
        return -1;
    }
    QUEUE(object)->limit = limit;
    Py_XSETREF(QUEUE(object)->maxsize, Py_NewRef(maxsize));
    if (QUEUE(object)->is_open) {
        return pyconc_waitlist_offer(&QUEUE(object)->putter_tasks,
                                     PY_SSIZE_T_MAX);
    }
    return QUEUE(object)->items == NULL ? 0 : offer(QUEUE(object));
}

static PyObject *
get_unfinished(PyObject *object, void *Py_UNUSED(closure))
{
    return PyLong_FromSsize_t(QUEUE(object)->unfinished);
}

static int
set_unfinished(PyObject *object, PyObject *value, void *Py_UNUSED(closure))
{
    Py_ssize_t unfinished = value == NULL ? 0 : PyLong_AsSsize_t(value);

    if (unfinished == -1 && PyErr_Occurred()) {
        return -1;
    }
    QUEUE(object)->unfinished = unfinished;
    if (unfinished == 0) {
        wake_joiners(QUEUE(object));
    }
    return 0;
}

static PyObject *
get_is_shutdown(PyObject *object, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(QUEUE(object)->is_shutdown);
}

static int
set_is_shutdown(PyObject *object, PyObject *value, void *Py_UNUSED(closure))
{
    int is_shutdown = value == NULL ? 0 : PyObject_IsTrue(value);

    if (is_shutdown < 0) {
        return -1;
    }
    QUEUE(object)->is_shutdown = (uint8_t)is_shutdown;
    return 0;
}

/* --- the object ---------------------------------------------------------- */

/* A class's number from pyconc.queue. */
static int
class_number(PyTypeObject *type, const char *method)
{
    PyObject *value = PyObject_CallMethod((PyObject *)type, method, NULL);
    int number = value == NULL ? -1 : (int)PyLong_AsLong(value);

    Py_XDECREF(value);
    return number == -1 && PyErr_Occurred() ? -1 : number;
}

static PyObject *
queue_new(PyTypeObject *type, PyObject *Py_UNUSED(arguments),
          PyObject *Py_UNUSED(keywords))
{
    int kind = class_number(type, "_pyconc_kind");
    int overrides = kind < 0 ? -1 : class_number(type, "_pyconc_overrides");

    if (overrides < 0) {
        return NULL;
    }
    struct queue *self = QUEUE(type->tp_alloc(type, 0));
    if (self != NULL) {
        self->state = pyconc_state_of(type);
        self->kind = (uint8_t)kind;
        self->overrides_hooks = (overrides & 1) != 0;
        self->overrides_put = (overrides & 2) != 0;
        self->overrides_get = (overrides & 4) != 0;
    }
    return (PyObject *)self;
}

static int
queue_init(PyObject *object, PyObject *arguments, PyObject *keywords)
{
    static const char *const names[] = {"maxsize", NULL};
    struct queue *self = QUEUE(object);
    PyObject *maxsize = NULL;

    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "|O:Queue",
                                     pyconc_keywords(names), &maxsize) ||
        (maxsize != NULL && set_maxsize(object, maxsize, NULL) < 0)) {
        return -1;
    }
    self->is_shutdown = 0;
    self->unfinished = 0;
    if (!self->overrides_hooks) {
        PyObject *items =
            self->kind == FIFO
                ? PyObject_CallNoArgs((PyObject *)self->state->deque_type)
                : PyList_New(0);
        if (items == NULL || wait_for_heap(self) < 0) {
            Py_XDECREF(items);
            return -1;
        }
        Py_XSETREF(self->items, items);
        return 0;
    }
    if (self->items == NULL) {
        self->items = Py_NewRef(Py_None); /* _init may keep them elsewhere */
    }
    if (open_queue(self) < 0) {
        return -1;
    }
    PyObject *given =
        maxsize == NULL ? PyLong_FromLong(0) : Py_NewRef(maxsize);
    PyObject *done =
        given == NULL
            ? NULL
            : PyObject_CallMethodOneArg(object, self->state->str_init, given);
    Py_XDECREF(given);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static int
is_name(PyObject *name, PyObject *wanted)
{
    return name == wanted || PyUnicode_Compare(name, wanted) == 0;
}

/* A hook may also be set on an object. */
static int
queue_setattro(PyObject *object, PyObject *name, PyObject *value)
{
    struct queue *self = QUEUE(object);

    if (PyObject_GenericSetAttr(object, name, value) < 0) {
        return -1;
    }
    if (!PyUnicode_Check(name)) {
        return 0;
    }
    if (is_name(name, self->state->str_put)) {
        self->overrides_put = 1;
    }
    else if (is_name(name, self->state->str_get)) {
        self->overrides_get = 1;
    }
    else if (!self->is_open && self->items != NULL &&
             (is_name(name, self->state->str_put_hook) ||
              is_name(name, self->state->str_get_hook) ||
              is_name(name, self->state->str_qsize))) {
        return open_queue(self);
    }
    return 0;
}

static int
queue_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(QUEUE(object)->items);
    Py_VISIT(QUEUE(object)->maxsize);
    for (int i = 0; i < 4; i++) {
        Py_VISIT(QUEUE(object)->conditions[i]);
    }
    return 0;
}

static int
queue_clear(PyObject *object)
{
    Py_CLEAR(QUEUE(object)->items);
    Py_CLEAR(QUEUE(object)->maxsize);
    return 0;
}

static void
queue_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    (void)queue_clear(object);
    for (int i = 0; i < 4; i++) {
        Py_CLEAR(QUEUE(object)->conditions[i]);
    }
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef queue_methods[] = {
    {"put", PYCONC_FAST_METHOD(queue_put), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("put($self, /, item, block=True, timeout=None)\n--\n\n"
               "Put an item in, waiting for room at most timeout seconds.\n\n"
               "Raises Full if there is none, ShutDown after shutdown().")},
    {"get", PYCONC_FAST_METHOD(queue_get), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("get($self, /, block=True, timeout=None)\n--\n\n"
               "Take an item out, waiting for one at most timeout seconds.\n\n"
               "Raises Empty if there is none, ShutDown after shutdown().")},
    {"put_nowait", queue_put_nowait, METH_O,
     PyDoc_STR("put_nowait($self, item, /)\n--\n\n"
               "Put an item in; Full if there is no room.")},
    {"get_nowait", queue_get_nowait, METH_NOARGS,
     PyDoc_STR("get_nowait($self, /)\n--\n\n"
               "Take an item out; Empty if there is none.")},
    {"put_many", PYCONC_FAST_METHOD(queue_put_many),
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("put_many($self, /, items, block=True, timeout=None)\n--\n\n"
               "Put all items in, in order, within timeout seconds.\n\n"
               "An exception's `remaining` has those that were not put.")},
    {"get_many", PYCONC_FAST_METHOD(queue_get_many),
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR(
         "get_many($self, /, max, timeout=None)\n--\n\n"
         "Take what there is, up to max items; wait for the first one.\n\n"
         "Raises Empty if none came within timeout seconds.")},
    {"task_done", queue_task_done, METH_NOARGS,
     PyDoc_STR("task_done($self, /)\n--\n\n"
               "Say that an item that was taken has been dealt with.\n\n"
               "Raises ValueError if there are no more such items.")},
    {"join", queue_join, METH_NOARGS,
     PyDoc_STR("join($self, /)\n--\n\n"
               "Wait until all items have been dealt with.")},
    {"shutdown", PYCONC_FAST_METHOD(queue_shutdown),
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("shutdown($self, /, immediate=False)\n--\n\n"
               "Have put() raise ShutDown, and get() once it is empty.\n\n"
               "immediate drops the items that are left.")},
    {"qsize", queue_qsize, METH_NOARGS,
     PyDoc_STR("qsize($self, /)\n--\n\nReturn how many items there are.")},
    {"empty", queue_empty, METH_NOARGS,
     PyDoc_STR("empty($self, /)\n--\n\nReturn whether there are none.")},
    {"full", queue_full, METH_NOARGS,
     PyDoc_STR("full($self, /)\n--\n\nReturn whether there is no room.")},
    {"_pyconc_awaiter", queue_awaiter, METH_O,
     PyDoc_STR("_pyconc_awaiter($self, getting, /)\n--\n\n"
               "Make a place for a coroutine that waits.")},
    {"_pyconc_notify_tasks", queue_notify_tasks, METH_VARARGS,
     PyDoc_STR("_pyconc_notify_tasks($self, getting, n, /)\n--\n\n"
               "Have n coroutines that wait look.")},
    {"__reduce__", pyconc_cannot_pickle, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef queue_getset[] = {
    {"queue", get_items, set_items, PyDoc_STR("The items."), NULL},
    {"maxsize", get_maxsize, set_maxsize,
     PyDoc_STR("How many items there may be; any number if not positive."),
     NULL},
    {"unfinished_tasks", get_unfinished, set_unfinished,
     PyDoc_STR("Items put and not yet said to be done."), NULL},
    {"is_shutdown", get_is_shutdown, set_is_shutdown,
     PyDoc_STR("Whether shutdown() was called."), NULL},
    {"mutex", get_condition, set_condition, NULL, (void *)0},
    {"not_empty", get_condition, set_condition, NULL, (void *)1},
    {"not_full", get_condition, set_condition, NULL, (void *)2},
    {"all_tasks_done", get_condition, set_condition, NULL, (void *)3},
    {NULL, NULL, NULL, NULL, NULL},
};

static char queue_doc[] = PyDoc_STR("What the queues of pyconc.queue do.");

static PyType_Slot queue_slots[] = {
    {Py_tp_doc, queue_doc},
    {Py_tp_new, (void *)queue_new},
    {Py_tp_init, (void *)queue_init},
    {Py_tp_setattro, (void *)queue_setattro},
    {Py_tp_dealloc, (void *)queue_dealloc},
    {Py_tp_traverse, (void *)queue_traverse},
    {Py_tp_clear, (void *)queue_clear},
    {Py_tp_methods, queue_methods},
    {Py_tp_getset, queue_getset},
    {0, NULL},
};

PyType_Spec pyconc_queue_spec = {
    .name = "pyconc._core.Queue",
    .basicsize = sizeof(struct queue),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = queue_slots,
};
