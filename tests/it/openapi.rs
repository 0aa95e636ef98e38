//! The description of the calls: it is what the service does.

mod document;
mod fuzz;
mod page;
