//! `#[aioxide_pyo3::pyfunction]`; documented there.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::{Error, FnArg, ItemFn, ReturnType, Type, parse_macro_input};

/// Exposes an `async fn` to Python: calling it gives a coroutine, which the awaiting task polls on the loop's thread.
///
/// What stands in the parentheses is `pyo3::pyfunction`'s: `signature = (…)`, `name = "…"`. Arguments are owned
/// (`String`, `Vec<u8>`, `Py<PyAny>`): the coroutine outlives the call. The result is `PyResult<T>`, or `T` for
/// what cannot fail.
///
/// ```no_run
/// use std::time::Duration;
///
/// /// `await nap(0.5)` in Python.
/// #[aioxide_pyo3::pyfunction(signature = (seconds=1.0))]
/// async fn nap(seconds: f64) -> &'static str {
///     tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
///     "rested"
/// }
/// ```
#[proc_macro_attribute]
pub fn pyfunction(options: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    expand(&options.into(), &function)
        .unwrap_or_else(Error::into_compile_error)
        .into()
}

fn expand(options: &Tokens, function: &ItemFn) -> syn::Result<Tokens> {
    let ItemFn { attrs, vis, sig, block } = function;
    if sig.asyncness.is_none() {
        return Err(Error::new_spanned(
            sig.fn_token,
            "an `async fn` is expected; for others there is pyo3::pyfunction",
        ));
    }
    if !sig.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &sig.generics,
            "a function for Python is not generic",
        ));
    }
    for argument in &sig.inputs {
        if let FnArg::Typed(argument) = argument
            && let Type::Reference(reference) = &*argument.ty
        {
            let text = "the coroutine outlives the call: take an owned value (String, Vec<u8>, Py<...>)";
            return Err(Error::new_spanned(reference, text));
        }
    }
    let (name, arguments) = (&sig.ident, &sig.inputs);
    let body = match &sig.output {
        ReturnType::Type(_, output) if is_result(output) => quote!(async move #block),
        _ => quote!(async move { ::core::result::Result::Ok::<_, ::pyo3::PyErr>(async move #block.await) }),
    };
    let output = match &sig.output {
        ReturnType::Type(_, output) if is_result(output) => quote!(#output),
        ReturnType::Type(_, output) => quote!(::pyo3::PyResult<#output>),
        ReturnType::Default => quote!(::pyo3::PyResult<()>),
    };
    Ok(quote! {
        #(#attrs)*
        #[::pyo3::pyfunction(#options)]
        #vis fn #name<'py>(
            py: ::pyo3::Python<'py>,
            #arguments
        ) -> ::pyo3::PyResult<::pyo3::Bound<'py, ::pyo3::PyAny>> {
            async fn typed(future: impl ::core::future::Future<Output = #output>) -> #output {
                future.await
            }
            ::aioxide_pyo3::named_future_into_py(py, stringify!(#name), typed(#body))
        }
    })
}

/// Whether a type is called `…Result<…>`: what `?` is used in.
fn is_result(output: &Type) -> bool {
    match output {
        Type::Path(path) => path
            .path
            .segments
            .last()
            .is_some_and(|segment| segment.ident.to_string().ends_with("Result")),
        _ => false,
    }
}
