//! What Vouchsafe captures itself: files, SQLite, git.
