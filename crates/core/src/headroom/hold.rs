//! Should a batch job wait so that urgent work finds room?
