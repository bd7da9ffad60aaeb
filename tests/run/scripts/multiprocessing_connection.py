"""Pipes, listeners and clients; argument: the start method."""

import array
import multiprocessing
import multiprocessing.connection
import os
import sys
import tempfile
import threading
from multiprocessing.connection import Client, Listener, wait

import parts
from tour import attempt, refuse, run, section, show

METHOD = sys.argv[1]


def echo(connection):
    for message in iter(connection.recv, None):
        connection.send(("echo", message))
    connection.close()


def talk(address, family):
    with Client(address, family=family, authkey=b"secret") as connection:
        connection.send([2.25, None, "junk", float])
        connection.send_bytes(b"hello")
        connection.send_bytes(array.array("i", [42, 1729]))


@section("Connection")
def pipe():
    a, b = multiprocessing.Pipe()
    show("type", type(a).__name__, a.readable, a.writable, a.closed)
    show("fileno", a.fileno() != b.fileno(), type(a.fileno()).__name__)
    show("send", a.send([1, "two", None]), b.poll(), b.recv(), b.poll())
    show("poll", b.poll(timeout=0.01), b.poll(0))
    show("bytes", a.send_bytes(b"thank you"), b.recv_bytes())
    a.send_bytes(b"0123456789", offset=2, size=3)
    a.send_bytes(buf=b"0123456789", offset=5)
    show("parts", b.recv_bytes(), b.recv_bytes(maxlength=99))
    into = array.array("i", [0] * 5)
    count = b.send_bytes(array.array("i", range(3)))
    show("into", count, a.recv_bytes_into(into), into.tolist())
    b.send_bytes(array.array("i", [9]))
    show("offset", a.recv_bytes_into(buf=into, offset=into.itemsize), into.tolist())
    b.send_bytes(bytes(100))
    try:
        a.recv_bytes_into(bytearray(10))
    except multiprocessing.BufferTooShort as error:
        show("too short", len(error.args[0]))
    refuse("offset", a.send_bytes, b"abc", 5)
    refuse("offset", a.send_bytes, b"abc", -1)
    refuse("size", a.send_bytes, b"abc", 1, 5)
    refuse("size", a.send_bytes, b"abc", 0, -1)
    attempt("no bytes", a.send_bytes, "text")
    attempt("what cannot be pickled", a.send, lambda: 1)
    with a as entered:
        show("with", entered is a)
    show("closed", a.closed, a.close())
    refuse("closed", a.send, 1)
    refuse("closed", a.fileno)
    refuse("end", b.recv)
    refuse("end", b.recv_bytes)
    attempt("nobody reads", b.send, 1)
    a, b = multiprocessing.Pipe()
    a.send_bytes(bytes(20))
    attempt("maxlength", b.recv_bytes, 10)
    refuse("maxlength", b.recv_bytes, -1)
    reader, writer = multiprocessing.Pipe(duplex=False)
    show("one way", reader.readable, reader.writable, writer.readable, writer.writable)
    refuse("send", reader.send, 1)
    refuse("recv", writer.recv)
    show("sent", writer.send({"key": (1, 2)}), reader.recv())
    reader, writer = multiprocessing.connection.Pipe(False)
    show("the same", writer.send(1), reader.recv())


@section()
def in_a_child():
    here, there = multiprocessing.Pipe(True)
    p = multiprocessing.Process(target=echo, args=(there,))
    p.start()
    there.close()
    for message in (1, "text", b"bytes", [None], 1.5):
        here.send(message)
        show("echo", here.recv())
    here.send(None)
    show("exit", p.join(), p.exitcode)


@section()
def waiting():
    pairs = [multiprocessing.Pipe(duplex=False) for _ in range(3)]
    readers = [reader for reader, _ in pairs]
    show("none", wait(readers, timeout=0.01), wait(object_list=[], timeout=0))
    pairs[1][1].send("one")
    show("one", wait(readers) == [readers[1]], readers[1].recv())
    for _, writer in pairs:
        writer.close()
    show("ends", wait(readers) == readers)


@section("Listener")
def listener():
    address = os.path.join(tempfile.mkdtemp(), "socket")
    for family, place in (
        ("AF_INET", ("localhost", 0)),
        ("AF_UNIX", address),
    ):
        with Listener(
            address=place, family=family, backlog=2, authkey=b"secret"
        ) as listener:
            show("address", type(listener.address).__name__, listener.last_accepted)
            p = multiprocessing.Process(target=talk, args=(listener.address, family))
            p.start()
            with listener.accept() as connection:
                show("accepted", type(listener.last_accepted).__name__)
                show("received", connection.recv(), connection.recv_bytes())
                into = array.array("i", [0] * 3)
                show("into", connection.recv_bytes_into(into), into.tolist())
                refuse("end", connection.recv)
            p.join()
        refuse("closed", listener.accept)
        show("close", listener.close())
    show("removed", os.path.exists(address))
    os.rmdir(os.path.dirname(address))
    with Listener() as default:
        show("default", type(default.address).__name__)
    refuse("family", Listener, "x", "AF_MAGIC")
    attempt("authkey", Listener, None, authkey="text")
    attempt("nobody listens", Client, os.path.join(os.getcwd(), "nothing"))


@section()
def authentication():
    for key in (b"secret", b"wrong"):
        with Listener(authkey=b"secret") as listener:
            outcomes = []

            def connect(key=key, address=listener.address, outcomes=outcomes):
                try:
                    Client(address, authkey=key).close()
                except Exception as error:
                    outcomes.append(type(error).__name__)
                else:
                    outcomes.append("connected")

            thread = threading.Thread(target=connect)
            thread.start()
            attempt("accept", lambda: type(listener.accept()).__name__)
            thread.join()
            show("client", outcomes)
    error = multiprocessing.AuthenticationError
    show("errors", error.__name__, error.__mro__[1].__name__)
    challenge, answer = multiprocessing.Pipe()
    thread = threading.Thread(
        target=multiprocessing.connection.answer_challenge, args=(answer, b"key")
    )
    thread.start()
    multiprocessing.connection.deliver_challenge(challenge, b"key")
    thread.join()
    show("answered", challenge.poll(0))


if __name__ == "__main__":
    multiprocessing.set_start_method(METHOD)
    run(
        [multiprocessing.connection],
        classes={"Connection": multiprocessing.connection.Connection},
        functions=parts.names("connection"),
        undocumented={"Connection(readable=)", "Connection(writable=)"},
    )
