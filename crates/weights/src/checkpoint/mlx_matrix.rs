//! A matrix quantised by MLX: which quantisation its shapes and types have, checked against the
//! configuration.

use russet_tensor::{MatrixData, MatrixView};

use crate::quantization::{Listed, Scheme};
use crate::tensors::{Element, Tensor, TensorTable, check_shape, wrong_type};
use crate::{Error, TensorError};

/// The matrix at the module path `path`, whose `scales` exist, of `(rows, cols)`.
pub(super) fn view<'a>(
    tensors: &'a TensorTable,
    path: &str,
    (rows, cols): (usize, usize),
    listed: Listed,
) -> Result<MatrixView<'a>, Error> {
    let parts = Parts::find(tensors, path)?;
    let scheme = parts.scheme(rows, cols)?;
    check_listed(&parts.name("weight"), scheme, listed)?;
    let data = parts.data(scheme, [rows, cols / scheme.group()])?;
    parts.all().for_each(Tensor::consume);
    let view = MatrixView::new(rows, cols, data);
    view.map_err(|fault| Error::tensor(&parts.name("weight"), TensorError::Parts(fault)))
}

/// The tensors of one quantised module.
struct Parts<'a, 'p> {
    tensors: &'a TensorTable,
    path: &'p str,
    codes: &'a Tensor,
    scales: &'a Tensor,
    biases: Option<&'a Tensor>,
    global_scale: Option<&'a Tensor>,
}

impl<'a, 'p> Parts<'a, 'p> {
    fn find(tensors: &'a TensorTable, path: &'p str) -> Result<Self, Error> {
        let find = |part: &str| tensors.get(&format!("{path}.{part}"));
        let require = |part: &str| {
            let name = format!("{path}.{part}");
            find(part)
                .ok_or_else(|| Error::tensor(&name, TensorError::Missing { role: part.into() }))
        };
        Ok(Self {
            tensors,
            path,
            codes: require("weight")?,
            scales: require("scales")?,
            biases: find("biases"),
            global_scale: find("global_scale"),
        })
    }

    fn name(&self, part: &str) -> String {
        format!("{}.{part}", self.path)
    }

    fn all(&self) -> impl Iterator<Item = &'a Tensor> {
        [Some(self.codes), Some(self.scales), self.biases, self.global_scale].into_iter().flatten()
    }

    /// The quantisation that codes and scales of these shapes and types have for a matrix of `rows`
    /// by `cols`.
    fn scheme(&self, rows: usize, cols: usize) -> Result<Scheme, Error> {
        if self.codes.element != Element::U32 {
            return Err(wrong_type(&self.name("weight"), self.codes, "U32 beside scales"));
        }
        let (&[code_rows, words], &[_, groups]) = (&self.codes.shape[..], &self.scales.shape[..])
        else {
            return Err(self.no_scheme(cols));
        };
        if code_rows != rows {
            check_shape(&self.name("weight"), self.codes, &[rows, words])?;
        }
        if groups == 0 || cols == 0 || !cols.is_multiple_of(groups) {
            return Err(self.no_scheme(cols));
        }
        let row_bits = words.checked_mul(32).filter(|bits| bits.is_multiple_of(cols));
        let Some(row_bits) = row_bits else { return Err(self.no_scheme(cols)) };
        let (bits, group) = (row_bits / cols, cols / groups);
        let found = match self.scales.element {
            Element::U8 => Scheme::fp(bits, group),
            Element::Float(_) => Scheme::affine(bits, group),
            _ => return Err(wrong_type(&self.name("scales"), self.scales, "F32, F16, BF16, U8")),
        };
        found.ok_or_else(|| self.no_scheme(cols))
    }

    fn no_scheme(&self, cols: usize) -> Error {
        let fault = TensorError::Quantization {
            codes: self.codes.shape.clone(),
            scales: self.scales.shape.clone(),
            cols,
            scale_type: self.scales.element.to_string(),
        };
        Error::tensor(&self.name("weight"), fault)
    }

    fn data(&self, scheme: Scheme, groups: [usize; 2]) -> Result<MatrixData<'a>, Error> {
        let (tensors, codes) = (self.tensors, self.tensors.bytes(self.codes));
        if let (Some(global), false) = (self.global_scale, scheme == Scheme::NVFP4) {
            return Err(wrong_type(&self.name("global_scale"), global, "none beside this mode"));
        }
        match scheme {
            Scheme::Affine { bits, group } => {
                let biases = self.biases.ok_or_else(|| {
                    let role = "biases".into();
                    Error::tensor(&self.name("biases"), TensorError::Missing { role })
                })?;
                let scales = tensors.floats(&self.name("scales"), self.scales, &groups)?;
                let biases = tensors.floats(&self.name("biases"), biases, &groups)?;
                Ok(MatrixData::Affine { bits, group, codes, scales, biases })
            }
            Scheme::Fp(format) => {
                if let Some(biases) = self.biases {
                    return Err(wrong_type(&self.name("biases"), biases, "none beside this mode"));
                }
                check_shape(&self.name("scales"), self.scales, &groups)?;
                let (scales, global_scale) = (tensors.bytes(self.scales), self.global_scale()?);
                Ok(MatrixData::Fp { format, codes, scales, global_scale })
            }
        }
    }

    fn global_scale(&self) -> Result<Option<f32>, Error> {
        let Some(tensor) = self.global_scale else { return Ok(None) };
        let shape: &[usize] = if tensor.shape.is_empty() { &[] } else { &[1] };
        let values = self.tensors.floats(&self.name("global_scale"), tensor, shape)?;
        Ok(Some(values.get(0)))
    }
}

/// What is listed for this very module must be what the file has; a default for all modules need
/// not.
fn check_listed(name: &str, found: Scheme, listed: Listed) -> Result<(), Error> {
    let listed = match listed {
        Listed::No => return Ok(()),
        Listed::As(scheme) if scheme == found => return Ok(()),
        Listed::As(scheme) => scheme.to_string(),
        Listed::Dense => "not quantised".into(),
    };
    let found = found.to_string();
    Err(Error::tensor(name, TensorError::Contradiction { listed, found }))
}
