//! The dashboard: its pages over HTTP, and in a real browser.

mod browser;
mod day;
mod pages;
mod words;
