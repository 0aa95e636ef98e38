//! The service's one binary: reads `.env`, hands over to [`cli`], and is the only place that ends
//! the process.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use commcare_sf_integration::cli::{self, Cli};
use commcare_sf_integration::config::env_file;

/// A payload is hundreds of small allocations. With the C library's allocator a webhook call takes a
/// quarter longer; with the other allocators that were measured the service needs half again the memory.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // `.env` is read before anything else runs: Google's library reads the environment by itself.
    let env_file = env_file::load(Path::new(".env"));
    let cli = Cli::parse();
    if let Err(error) = env_file {
        return cli::fail(&error.into());
    }
    let run = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match run.map_err(Into::into).and_then(|runtime| runtime.block_on(cli::run(cli))) {
        Ok(code) => code,
        Err(error) => cli::fail(&error),
    }
}
