//! The whole program, tested from outside: one binary, because each more would link the whole program again.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]
#![allow(clippy::print_stderr, reason = "a test that cannot run on this machine says so")]

mod adapters;
mod answers;
mod any_api;
mod any_api_writes;
mod appliances;
mod apply;
mod authors;
mod cache;
mod canary;
mod cases;
mod conformance;
mod converge;
mod deletes;
mod examples;
mod field_cases;
mod forgotten;
mod from_python;
mod generics;
mod golden;
mod guides;
mod hostile;
mod incremental;
mod infrahub;
mod inventories;
mod kills;
mod languages;
mod limits;
mod network;
mod ownership;
mod puppet;
mod quiet;
mod registry;
mod rest;
mod screen;
mod storage;
mod storms;
mod strangers;
mod undo;
mod whole;
