//! Object stores: local directory, memory, simulated, overlay.
