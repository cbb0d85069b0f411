//! The cache's tests, in one binary.

mod common;
mod damage;
mod duckdb;
mod housekeeping;
mod journal;
mod killed_runs;
mod plan_laws;
mod runs;
mod strangers;
