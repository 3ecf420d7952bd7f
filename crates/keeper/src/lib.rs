//! Where decisions meet deeds: runs, copies, verification, drills, recovery of state.
