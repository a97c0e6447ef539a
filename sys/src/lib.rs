//! Linux for node-flame: ptrace, process_vm_readv, /proc, clocks and signals.
