//! The service's one binary: reads `.env`, hands over to [`cli`], and is the only place that ends
//! the process.

use std::process::ExitCode;

use clap::Parser;
use commcare_sf_integration::cli::{self, Cli};

/// A payload is hundreds of small allocations. With the C library's allocator a webhook call takes a
/// quarter longer; with the other allocators that were measured the service needs half again the memory.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // `.env` is read before anything else runs: Google's library reads the environment by itself.
    let env_file = dotenvy::from_filename(".env");
    let cli = Cli::parse();
    match env_file {
        Err(error) if !error.not_found() => return cli::fail(&cli::env_file_error(error)),
        Ok(_) | Err(_) => {}
    }
    let run = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match run.map_err(Into::into).and_then(|runtime| runtime.block_on(cli::run(cli))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::fail(&error),
    }
}
