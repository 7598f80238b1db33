//! Brings a home back from a restore, a set that was kept aside, or a copy: by renames on the file
//! system, with a journal, and with a way back. It never copies where a rename does, and never
//! deletes.
