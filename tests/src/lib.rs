//! Fixtures for tests of the real binary on real Node.js processes.
