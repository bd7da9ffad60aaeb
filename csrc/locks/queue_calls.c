/* put() and get() of a queue in all their forms. */
#include "locks/queue.h"
#include "platform/clock.h"
#include "py/arguments.h"

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
is_possible(struct pyconc_queue *self, int getting)
{
    return getting ? pyconc_queue_length(self) > 0
                   : !pyconc_queue_is_full(self);
}

/* Wait until it is possible, and nobody is at the heap.  Whatever may run
 * Python code is followed by another turn of the loop. */
static enum turn
wait_for_turn(struct pyconc_queue *self, int getting, struct budget *budget)
{
    struct pyconc_waitlist *list = getting ? &self->getters : &self->putters;
    struct pyconc_place *place = NULL;
    int checked = !has_timeout(budget), waits = 1, is_late = 0;
    enum turn turn = STOP;

    for (;;) {
        if (self->is_open) {
            turn = OPEN;
            break;
        }
        if (self->heap_owner != 0) {
            if (pyconc_queue_wait_for_heap(self) < 0) {
                break;
            }
            continue;
        }
        if (self->is_shutdown &&
            (!getting || pyconc_queue_length(self) == 0)) {
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
        if (!waits || is_late) {
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
        int status = pyconc_waitlist_wait_chance(
            list, place,
            !is_possible(self, getting) ? 0
            : getting                   ? pyconc_queue_length(self)
                      : self->limit - pyconc_queue_length(self),
            budget->deadline_ns);
        if (status < 0) {
            break;
        }
        is_late = status;
    }
    if (place != NULL) {
        pyconc_waitlist_done(list, place);
        pyconc_place_free(place);
    }
    return turn;
}

static inline int
has_turn(struct pyconc_queue *self, int getting)
{
    return !self->is_open && self->heap_owner == 0 && !self->is_shutdown &&
           is_possible(self, getting) &&
           (getting ? &self->getters : &self->putters)->hungry == 0;
}

static int
put(struct pyconc_queue *self, PyObject *item, struct budget *budget)
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
    status = turn == GO ? pyconc_queue_add_item(self, item) : -1;
    self->unfinished += status == 0;
    return pyconc_queue_offer(self) < 0 ? -1 : status;
}

static PyObject *
get(struct pyconc_queue *self, struct budget *budget)
{
    enum turn turn = GO;

    if (has_timeout(budget) || !has_turn(self, 1)) {
        turn = wait_for_turn(self, 1, budget);
    }
    if (turn == GO && self->putter_tasks.first != NULL && self->limit > 0) {
        /* Before the item is taken: what a signal handler raises meanwhile
         * must not cost it. */
        if (pyconc_waitlist_offer(&self->putter_tasks,
                                  self->limit - pyconc_queue_length(self) +
                                      1) < 0) {
            return NULL;
        }
        if (!has_turn(self, 1)) {
            turn = wait_for_turn(self, 1, budget);
        }
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
    PyObject *item = turn == GO ? pyconc_queue_take_item(self) : NULL;
    if (pyconc_queue_offer(self) < 0 && item != NULL) {
        PyErr_WriteUnraisable((PyObject *)self); /* too late */
    }
    return item;
}

static const char *const put_names[] = {"item", "block", "timeout", NULL};
static const struct pyconc_parameters put_parameters = {"put", 1, put_names};

PyObject *
pyconc_queue_put(PyObject *object, PyObject *const *arguments,
                 Py_ssize_t count, PyObject *keywords)
{
    PyObject *out[3] = {NULL, NULL, NULL};

    if (pyconc_arguments(&put_parameters, arguments, count, keywords, out) <
            0 ||
        pyconc_queue_check_made(PYCONC_QUEUE(object)) < 0) {
        return NULL;
    }
    struct budget budget = {.block = out[1], .timeout = out[2]};
    if (put(PYCONC_QUEUE(object), out[0], &budget) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static const char *const get_names[] = {"block", "timeout", NULL};
static const struct pyconc_parameters get_parameters = {"get", 0, get_names};

PyObject *
pyconc_queue_get(PyObject *object, PyObject *const *arguments,
                 Py_ssize_t count, PyObject *keywords)
{
    PyObject *out[2] = {NULL, NULL};

    if (pyconc_arguments(&get_parameters, arguments, count, keywords, out) <
            0 ||
        pyconc_queue_check_made(PYCONC_QUEUE(object)) < 0) {
        return NULL;
    }
    struct budget budget = {.block = out[0], .timeout = out[1]};
    return get(PYCONC_QUEUE(object), &budget);
}

static const char *const put_nowait_names[] = {"item", NULL};
static const struct pyconc_parameters put_nowait_parameters = {
    .function = "Queue.put_nowait",
    .required = 1,
    .names = put_nowait_names,
};

PyObject *
pyconc_queue_put_nowait(PyObject *object, PyObject *const *arguments,
                        Py_ssize_t count, PyObject *keywords)
{
    struct pyconc_queue *self = PYCONC_QUEUE(object);
    struct budget budget = {.block = Py_False};
    PyObject *item = NULL;

    if (pyconc_arguments(&put_nowait_parameters, arguments, count, keywords,
                         &item) < 0 ||
        pyconc_queue_check_made(self) < 0) {
        return NULL;
    }
    if (self->overrides_put) {
        PyObject *passed[] = {object, item, Py_False};
        return PyObject_VectorcallMethod(self->state->str_put, passed, 2,
                                         self->state->names_block);
    }
    if (put(self, item, &budget) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *
pyconc_queue_get_nowait(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    struct pyconc_queue *self = PYCONC_QUEUE(object);
    struct budget budget = {.block = Py_False};

    if (pyconc_queue_check_made(self) < 0) {
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
call_override(struct pyconc_queue *self, PyObject *item,
              const struct budget *budget)
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

PyObject *
pyconc_queue_put_many(PyObject *object, PyObject *const *arguments,
                      Py_ssize_t count, PyObject *keywords)
{
    PyObject *out[3] = {NULL, NULL, NULL};

    if (pyconc_arguments(&put_many_parameters, arguments, count, keywords,
                         out) < 0 ||
        pyconc_queue_check_made(PYCONC_QUEUE(object)) < 0) {
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
        if (PYCONC_QUEUE(object)->overrides_put) {
            PyObject *done =
                call_override(PYCONC_QUEUE(object), item, &budget);
            Py_XDECREF(done);
            status = done == NULL ? -1 : 0;
        }
        else {
            status = put(PYCONC_QUEUE(object), item, &budget);
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
is_the_end(struct pyconc_queue *self)
{
    if (!PyErr_ExceptionMatches(self->state->queue_empty) &&
        !PyErr_ExceptionMatches(self->state->queue_shutdown)) {
        return 0;
    }
    PyErr_Clear();
    return 1;
}

PyObject *
pyconc_queue_get_many(PyObject *object, PyObject *const *arguments,
                      Py_ssize_t count, PyObject *keywords)
{
    PyObject *out[2] = {NULL, NULL};

    if (pyconc_arguments(&get_many_parameters, arguments, count, keywords,
                         out) < 0 ||
        pyconc_queue_check_made(PYCONC_QUEUE(object)) < 0) {
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
        PyObject *item =
            PYCONC_QUEUE(object)->overrides_get
                ? call_override(PYCONC_QUEUE(object), NULL, &budget)
                : get(PYCONC_QUEUE(object), &budget);
        if (item == NULL) {
            if (PyList_GET_SIZE(items) == 0 ||
                !is_the_end(PYCONC_QUEUE(object))) {
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
