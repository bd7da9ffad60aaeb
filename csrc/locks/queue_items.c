/* What a queue holds, and telling who waits about it. */
#include "locks/heap.h"
#include "locks/queue.h"
#include "platform/clock.h"
#include "platform/forks.h"

int
pyconc_queue_check_made(struct pyconc_queue *self)
{
    if (self->items == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "Queue.__init__() was not called");
        return -1;
    }
    return 0;
}

/* Unlike a thread's ident this is never used again. */
static uint64_t
this_thread(void)
{
    return PyThreadState_GetID(PyThreadState_Get());
}

static void
lock_heap(struct pyconc_queue *self)
{
    self->heap_owner = this_thread();
    self->heap_forks = conc_forks_count();
}

int
pyconc_queue_add_item(struct pyconc_queue *self, PyObject *item)
{
    if (self->kind == PYCONC_FIFO) {
        PyObject *arguments[] = {self->items, item};
        PyObject *done =
            PyObject_Vectorcall(self->state->deque_append, arguments, 2, NULL);
        Py_XDECREF(done);
        return done == NULL ? -1 : 0;
    }
    if (self->kind == PYCONC_LIFO) {
        return PyList_Append(self->items, item);
    }
    PyObject *items = Py_NewRef(self->items);
    lock_heap(self);
    int status = pyconc_heap_push(items, item);
    self->heap_owner = 0;
    Py_DECREF(items);
    return status;
}

PyObject *
pyconc_queue_take_item(struct pyconc_queue *self)
{
    if (self->kind == PYCONC_FIFO) {
        return PyObject_Vectorcall(self->state->deque_popleft, &self->items, 1,
                                   NULL);
    }
    if (self->kind == PYCONC_LIFO) {
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

int
pyconc_queue_wait_for_heap(struct pyconc_queue *self)
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
    while ((status = pyconc_waitlist_wait_chance(&self->sorters, place,
                                                 self->heap_owner == 0,
                                                 CONC_NEVER)) == 0 &&
           self->heap_owner != 0) {
        pyconc_waitlist_rejoin(&self->sorters, place);
    }
    pyconc_waitlist_done(&self->sorters, place);
    pyconc_place_free(place);
    (void)pyconc_waitlist_offer(&self->sorters, self->heap_owner == 0);
    return status;
}

static int
offer(struct pyconc_queue *self, Py_ssize_t sorters, Py_ssize_t items,
      Py_ssize_t room)
{
    (void)pyconc_waitlist_offer(&self->sorters, sorters);
    (void)pyconc_waitlist_offer(&self->getters, items);
    (void)pyconc_waitlist_offer(&self->putters, room);
    int status = pyconc_waitlist_offer(&self->getter_tasks, items);
    if (pyconc_waitlist_offer(&self->putter_tasks, room) < 0) {
        status = -1;
    }
    return status;
}

int
pyconc_queue_offer_all(struct pyconc_queue *self)
{
    if (self->items == NULL || self->is_open) {
        return 0;
    }
    Py_ssize_t items =
        self->is_shutdown ? PY_SSIZE_T_MAX : pyconc_queue_length(self);
    Py_ssize_t room = self->is_shutdown || self->limit == 0
                          ? PY_SSIZE_T_MAX
                          : self->limit - pyconc_queue_length(self);
    return offer(self, self->heap_owner == 0, items, room);
}

int
pyconc_queue_offer_everything(struct pyconc_queue *self)
{
    return offer(self, PY_SSIZE_T_MAX, PY_SSIZE_T_MAX, PY_SSIZE_T_MAX);
}
