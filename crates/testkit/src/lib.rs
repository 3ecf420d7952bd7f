//! Launchers of real servers and oracles for tests.
