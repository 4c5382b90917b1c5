//! Which built-in functions only compute, and what the others can do.
