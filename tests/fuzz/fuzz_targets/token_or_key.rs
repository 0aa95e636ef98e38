//! The scheduler's identity token, and the private key of a login.
#![no_main]

use commcare_sf_integration::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    fuzzing::token_or_key(input);
});
