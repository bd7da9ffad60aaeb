"""Many threads at one primitive: nothing lost, nothing twice, nobody stuck."""

import pytest

from support.blocking import PATIENCE, at_once

KINDS = ["Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"]
CROWDS = [(1, 1), (4, 1), (1, 4), (4, 4)]
ITEMS = 400


@pytest.mark.parametrize("producers, consumers", CROWDS)
@pytest.mark.parametrize("maxsize", [0, 1, 7])
@pytest.mark.parametrize("kind", KINDS)
def test_queues(sync, kind, maxsize, producers, consumers):
    cls = getattr(sync.queue, kind)
    if kind == "SimpleQueue":
        if maxsize:
            pytest.skip("it has no limit")
        q = cls()
    else:
        q = cls(maxsize)

    def run(index):
        if index < producers:
            for number in range(ITEMS):
                q.put((number, index), timeout=PATIENCE)
            return []
        share = producers * ITEMS // consumers
        return [q.get(timeout=PATIENCE) for _ in range(share)]

    lists = at_once(producers + consumers, run)
    found = [item for items in lists for item in items]
    assert sorted(found) == [(n, p) for n in range(ITEMS) for p in range(producers)]
    assert q.empty()
    if kind == "Queue":
        for items in lists:
            for producer in range(producers):
                numbers = [n for n, p in items if p == producer]
                assert numbers == sorted(numbers)


def test_a_queue_with_impatient_threads(sync):
    q = sync.queue.Queue(2)

    def put(index):
        for number in range(100):
            while True:
                try:
                    q.put((index, number), timeout=0.001)
                    break
                except sync.queue.Full:
                    pass

    def get():
        found = []
        while len(found) < 100:
            try:
                found.append(q.get(timeout=0.001))
            except sync.queue.Empty:
                pass
        return found

    lists = at_once(6, lambda index: get() if index % 2 else put(index) or [])
    found = sorted(item for items in lists for item in items)
    assert found == [(i, n) for i in (0, 2, 4) for n in range(100)]


def test_tasks_are_counted_by_many(sync):
    q = sync.queue.Queue()

    def run(index):
        if index == 0:
            for number in range(400):
                q.put(number)
            q.join()
            return q.unfinished_tasks
        for _ in range(100):
            q.get(timeout=PATIENCE)
            q.task_done()
        return 0

    assert at_once(5, run) == [0] * 5


@pytest.mark.parametrize("recursive", [False, True])
def test_a_buffer_over_conditions(sync, recursive):
    mod = sync.threading
    lock = mod.RLock() if recursive else mod.Lock()
    not_empty, not_full = mod.Condition(lock), mod.Condition(lock)
    items = []

    def run(index):
        found = []
        for number in range(ITEMS // 2):
            if index % 2:
                with not_empty:
                    while not items:
                        assert not_empty.wait(PATIENCE)
                    found.append(items.pop(0))
                    not_full.notify()
            else:
                with not_full:
                    while len(items) >= 3:
                        assert not_full.wait(PATIENCE)
                    items.append((index, number))
                    not_empty.notify()
        return found

    found = [item for items in at_once(6, run) for item in items]
    assert sorted(found) == [(i, n) for i in (0, 2, 4) for n in range(ITEMS // 2)]


def test_threads_that_take_turns_over_one_condition(sync):
    condition, turns = sync.threading.Condition(), []

    def run(index):
        for number in range(50):
            with condition:
                due = number * 5 + index
                assert condition.wait_for(lambda: len(turns) == due, PATIENCE)  # noqa: B023
                turns.append(index)
                condition.notify_all()

    at_once(5, run)
    assert turns == list(range(5)) * 50


def test_tokens_go_round_over_semaphores(sync):
    count, rounds = 5, 50
    ring = [sync.threading.Semaphore(0) for _ in range(count)]
    log = []

    def run(index):
        for _ in range(rounds):
            assert ring[index].acquire(timeout=PATIENCE)
            log.append(index)
            ring[(index + 1) % count].release()

    ring[0].release()
    at_once(count, run)
    assert log == list(range(count)) * rounds


@pytest.mark.parametrize("kind", ["Lock", "RLock", "Condition", "BoundedSemaphore"])
def test_mutual_exclusion(sync, kind):
    guard = getattr(sync.threading, kind)()
    total = [0]

    def run(_index):
        for _ in range(500):
            with guard:
                before = total[0]
                str(before)
                total[0] = before + 1

    at_once(6, run)
    assert total == [3000]


def test_an_event_that_flips(sync):
    event, done = sync.threading.Event(), []

    def run(index):
        if index:
            for _ in range(100):
                assert event.wait(PATIENCE)
            done.append(index)
            return
        while len(done) < 4:
            event.set()
            event.clear()
        event.set()

    at_once(5, run)
    assert event.is_set()
