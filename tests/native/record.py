"""Records stacks with gdb, to compare flame_core's unwinding with gdb's own.

Runs inside gdb. PID: attach to this process and stop it STOPS times at random moments; without PID: run
the program that gdb was given, and record every instruction of what main calls, STOPS at most. OUT is
written: the target's regions (`map`), then for each stop the registers (`stop`: thread, pc, general ones by
DWARF number), the stack's bytes (`stack`: address, hexadecimal; a signal handler's own stack is followed by
a second one, of what it interrupted) and gdb's frames, leaf first (`bt`: pc,sp,name). Inlined functions and
tail calls, which are frames to gdb alone, are left out.
"""

import os
import random
import time

import gdb

REGISTERS = ["rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp"] + [f"r{n}" for n in range(8, 16)]
STACK_BYTES = 1 << 16
RED_ZONE = 128
FRAMES = 200


def stack(inferior, address):
    """The bytes from an address to the end of the stack, or as many as are wanted."""
    try:
        return bytes(inferior.read_memory(address, STACK_BYTES))
    except gdb.MemoryError:
        data = b""
    while len(data) < STACK_BYTES:
        at = address + len(data)
        try:
            data += bytes(inferior.read_memory(at, 4096 - at % 4096))
        except gdb.MemoryError:
            break
    return data


def chain(frame):
    """gdb's frames, in its own words where it gives up."""
    frames = []
    for _ in range(FRAMES):
        if frame is None:
            break
        if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
            sp = int(frame.read_register("rsp")) % 2**64
            name = (frame.name() or "?").replace(" ", "_")
            frames.append(f"{frame.pc():x},{sp:x},{name}")
        try:
            frame = frame.older()
        except gdb.error:
            break
    return frames


def record(out, inferior, tid):
    frame = gdb.newest_frame()
    values = [int(gdb.parse_and_eval(f"(unsigned long)${name}")) for name in REGISTERS]
    frames = chain(frame)
    print("stop", tid, f"{frame.pc():x}", *(f"{value:x}" for value in values), file=out)
    start, data = values[7] - RED_ZONE, b""
    for sp in [values[7]] + [int(frame.split(",")[1], 16) for frame in frames]:
        if not data or not start <= sp <= start + len(data):
            start = sp - RED_ZONE
            data = stack(inferior, start)
            print("stack", f"{start:x}", data.hex(), file=out)
    print("bt", *frames, file=out)


def regions(out, pid):
    with open(f"/proc/{pid}/maps") as maps:
        for line in maps:
            out.write("map " + line)


def attach(out, pid, stops):
    gdb.execute(f"file /proc/{pid}/exe", to_string=True)
    for stop in range(stops):
        gdb.execute(f"attach {pid}", to_string=True)
        inferior = gdb.selected_inferior()
        if stop == 0:
            regions(out, pid)
        for thread in inferior.threads():
            # The main thread works; the others wait most of the time, in the same place.
            if thread.ptid[1] == pid or stop % 20 == 0:
                thread.switch()
                record(out, inferior, thread.ptid[1])
        gdb.execute("detach", to_string=True)
        time.sleep(random.random() * 0.05)


def step(out, stops):
    gdb.execute("break main", to_string=True)
    # A signal that does not stop the program is stepped over with all of its handler.
    gdb.execute("handle SIGUSR1 stop print pass", to_string=True)
    gdb.execute("run", to_string=True)
    inferior = gdb.selected_inferior()
    for stop in range(stops):
        record(out, inferior, inferior.pid)
        gdb.execute("stepi", to_string=True)
        if not inferior.pid:
            break
        if stop == 0:
            regions(out, inferior.pid)


for setting in (
    "pagination off",
    "confirm off",
    "print thread-events off",
    "debuginfod enabled off",
    "disable-randomization off",
    f"backtrace limit {FRAMES}",
    # The code before main belongs to the chain.
    "backtrace past-main on",
    "backtrace past-entry on",
):
    gdb.execute("set " + setting)
random.seed(1)
with open(os.environ["OUT"], "w") as out:
    if "PID" in os.environ:
        attach(out, int(os.environ["PID"]), int(os.environ["STOPS"]))
    else:
        step(out, int(os.environ["STOPS"]))
