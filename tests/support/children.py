"""Run something in a bare child of os.fork()."""

import os
import signal
import traceback


def in_forked_child(function):
    """Run function in a child; return the text of its result, exit code.

    The text is the traceback and the code 1 if it raises.  A child that
    hangs is killed.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(25)
        os.close(reader)
        code = 1
        try:
            text = str(function())
            code = 0
        except BaseException:
            text = traceback.format_exc()
        finally:
            os.write(writer, text.encode())
            os._exit(code)
    try:
        os.close(writer)
        pieces = []
        while piece := os.read(reader, 65536):
            pieces.append(piece)
        os.close(reader)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        status = os.waitpid(pid, 0)[1]
    return b"".join(pieces).decode(), os.waitstatus_to_exitcode(status)
