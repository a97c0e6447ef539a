//! From a finished profile to bytes.
