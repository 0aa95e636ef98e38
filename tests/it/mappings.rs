//! Every mapping against the golden cases of `tests/vectors/`.
