//! Makes `cfg(Py_3_12)` and its like known to this crate.

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
    pyo3_build_config::add_extension_module_link_args();
}
