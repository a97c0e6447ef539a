"""Compares whole stacks of a Node process with node-flame's, at random stops.

gdb unwinds native code by itself. Of V8's code it knows nothing, so it is told the one thing that V8's ABI
promises: the caller's frame pointer and pc stand at the frame pointer.

Runs inside gdb. PID: attach to this process and stop it STOPS times; HELPER: the program that compares,
`sys/examples/beside_gdb.rs`, which says how. It ends with status 1 if less than 99 % of the stacks are the same, or if
gdb came through V8's code in less than 90 % of them: the rest is compared in part only.
"""

import os
import random
import subprocess
import sys
import time

import gdb
from gdb.unwinder import Unwinder, register_unwinder

REGISTERS = ["rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp"] + [f"r{n}" for n in range(8, 16)]


class Frame:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class V8(Unwinder):
    """Steps through V8's code: executable memory without a file, and V8's builtins in Node's."""

    def __init__(self, builtins):
        super().__init__("V8")
        self.builtins, self.ranges = builtins, []

    def attached(self, pid):
        self.ranges = list(self.builtins)
        with open(f"/proc/{pid}/maps") as maps:
            for line in maps:
                fields = line.split()
                if "x" in fields[1] and len(fields) == 5:
                    self.ranges.append(tuple(int(part, 16) for part in fields[0].split("-")))

    def __call__(self, pending):
        pc = pending.read_register("rip")
        if not any(start <= int(pc) % 2**64 < end for start, end in self.ranges):
            return None
        fp, word = pending.read_register("rbp"), gdb.lookup_type("unsigned long")
        at = gdb.Value(int(fp) % 2**64).cast(word)
        try:
            words = [(at + offset).cast(word.pointer()).dereference() for offset in (0, 8)]
            for value in words:
                value.fetch_lazy()
        except gdb.error:
            return None
        info = pending.create_unwind_info(Frame(at, pc))
        info.add_saved_register("rip", words[1])
        info.add_saved_register("rbp", words[0])
        info.add_saved_register("rsp", at + 16)
        return info


def addresses(frame):
    """An address in each frame's function; gdb's own ones, for inlined functions and tail calls, left out."""
    found = []
    is_call = False
    while frame is not None:
        if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
            found.append(frame.pc() - is_call)
            is_call = frame.type() != gdb.SIGTRAMP_FRAME
        try:
            frame = frame.older()
        except gdb.error:
            break
    return found


for setting in (
    "pagination off",
    "confirm off",
    "print thread-events off",
    "debuginfod enabled off",
    "backtrace limit 1000",
    "backtrace past-main on",
    "backtrace past-entry on",
):
    gdb.execute("set " + setting)
pid, stops = os.environ["PID"], int(os.environ["STOPS"])
gdb.execute(f"file /proc/{pid}/exe", to_string=True)
helper = subprocess.Popen([os.environ["HELPER"], pid], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
# The helper's first line says where the builtins are mapped.
ranges = helper.stdout.readline().split()
unwinder = V8([tuple(int(part, 16) for part in text.split("-")) for text in ranges])
register_unwinder(None, unwinder, replace=True)
same = 0
for stop in range(stops):
    gdb.execute(f"attach {pid}", to_string=True)
    unwinder.attached(pid)
    gdb.invalidate_cached_frames()
    # The main thread has the process' own number.
    main = next(thread for thread in gdb.selected_inferior().threads() if thread.ptid[1] == int(pid))
    main.switch()
    names = ["pc", "fs_base"] + REGISTERS
    values = [int(gdb.parse_and_eval(f"(unsigned long)${name}")) for name in names]
    values += addresses(gdb.newest_frame())
    helper.stdin.write(" ".join(f"{value % 2**64:x}" for value in values) + "\n")
    helper.stdin.flush()
    answer = helper.stdout.readline().strip()
    if answer == "same":
        same += 1
    else:
        print(answer)
    gdb.execute("detach", to_string=True)
    time.sleep(random.random() * 0.05)
helper.stdin.close()
through = int(helper.stdout.readline())
helper.wait()
print(f"{same} of {stops} whole stacks are the same, {through} of them to the thread's start by gdb too")
sys.stdout.flush()
os._exit(0 if same * 100 >= stops * 99 and through * 100 >= stops * 90 else 1)
