//! Integration tests of gate-net, one binary.
