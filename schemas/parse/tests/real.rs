//! Real records.
