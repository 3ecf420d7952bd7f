//! Facts and verdicts rendered for people and machines.
