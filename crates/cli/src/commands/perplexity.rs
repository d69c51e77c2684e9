//! `perplexity`: how well a model predicts a text, and what quantised activations cost.

use anyhow::{Context, Result, bail};
use russet_decoder::{
    Batch, BlockId, Decoder, Input, Mask, Model, Position, Row, SequenceId, SequenceRows, TokenId,
};
use russet_device_cpu::CpuDevice;
use russet_hub::{Hub, Progress};
use russet_tokenizer::{AddSpecial, SpecialText};
use serde_json::json;

use crate::console;
use crate::opened;
use crate::progress::Bar;
use crate::settings::{PerplexitySettings, PrecisionChoice};

/// Rows whose logits are held at once.
const CHUNK_LEN: usize = 64;

/// Prints perplexity over windows of the text; with `--against-exact` also the divergence from
/// exact mode.
pub(crate) fn perplexity(hub: &Hub, settings: &PerplexitySettings) -> Result<()> {
    let opened = opened::open(hub, &settings.model)?;
    let text = std::fs::read_to_string(&settings.file)
        .with_context(|| format!("cannot read {}", settings.file.display()))?;
    let tokenizer = opened.tokenizer()?;
    let ids = tokenizer.encode_as(&text, AddSpecial::No, SpecialText::Plain)?;
    let (window, most) = (settings.window.get(), settings.windows.get());
    // A model that was trained with a begin token mispredicts everything without it.
    let begin = tokenizer.encode("", AddSpecial::Yes)?;
    let windows: Vec<Vec<u32>> = ids
        .chunks_exact(window)
        .take(most)
        .map(|ids| begin.iter().chain(ids).copied().collect())
        .collect();
    if windows.is_empty() {
        bail!("the text has {} tokens; a window takes {window}", ids.len());
    }
    let mut model = prepare(opened.load(&settings.compute)?, window + begin.len())?;
    let mut exact = match settings.against_exact {
        true => {
            let mut compute = settings.compute.clone();
            compute.kernels.precision = Some(PrecisionChoice::Exact);
            Some(prepare(opened.load(&compute)?, window + begin.len())?)
        }
        false => None,
    };
    let mut bar = Bar::default();
    let mut sums = Sums::default();
    for (i, ids) in windows.iter().enumerate() {
        bar.begin(&format!("window {} of {}", i + 1, windows.len()), None);
        sums.add_window(ids, begin.len(), &mut model, exact.as_mut())?;
    }
    bar.finish();
    sums.print(settings.against_exact, settings.json)
}

fn prepare(mut model: Decoder<CpuDevice>, len: usize) -> Result<Decoder<CpuDevice>> {
    let info = model.info();
    let (blocks, groups) = (len.div_ceil(info.block_len), info.cache_groups.len());
    model.allocate_cache(&vec![blocks; groups])?;
    Ok(model)
}

/// Sums over predicted tokens.
#[derive(Default)]
struct Sums {
    tokens: usize,
    loss: f64,
    exact_loss: f64,
    divergence: f64,
    same_best: usize,
}

impl Sums {
    fn add_window(
        &mut self,
        ids: &[u32],
        begin_len: usize,
        model: &mut Decoder<CpuDevice>,
        mut exact: Option<&mut Decoder<CpuDevice>>,
    ) -> Result<()> {
        for first in (0..ids.len()).step_by(CHUNK_LEN) {
            let rows = &ids[first..ids.len().min(first + CHUNK_LEN)];
            let logits = step(model, first, rows)?;
            let reference = exact.as_mut().map(|exact| step(exact, first, rows)).transpose()?;
            let width = logits.len() / rows.len();
            for row in 0..rows.len() {
                // The begin tokens are given, and nothing follows the last one.
                if first + row + 1 < begin_len.max(1) || first + row + 1 >= ids.len() {
                    continue;
                }
                let target = ids[first + row + 1] as usize;
                let at = row * width..(row + 1) * width;
                let reference = reference.as_ref().map(|logits| &logits[at.clone()]);
                self.add_row(&logits[at.clone()], reference, target);
            }
        }
        Ok(())
    }

    fn add_row(&mut self, logits: &[f32], reference: Option<&[f32]>, target: usize) {
        self.tokens += 1;
        let normaliser = log_sum_exp(logits);
        self.loss += normaliser - f64::from(logits[target]);
        let Some(reference) = reference else { return };
        let exact_normaliser = log_sum_exp(reference);
        self.exact_loss += exact_normaliser - f64::from(reference[target]);
        for (&p, &q) in reference.iter().zip(logits) {
            let log_p = f64::from(p) - exact_normaliser;
            self.divergence += log_p.exp() * (log_p - (f64::from(q) - normaliser));
        }
        self.same_best += usize::from(best(logits) == best(reference));
    }

    fn print(&self, against_exact: bool, as_json: bool) -> Result<()> {
        let tokens = self.tokens as f64;
        let (ours, exact) = ((self.loss / tokens).exp(), (self.exact_loss / tokens).exp());
        let (divergence, same) = (self.divergence / tokens, self.same_best as f64 / tokens);
        let mut report = json!({"tokens": self.tokens, "perplexity": ours});
        if against_exact {
            report["exact_perplexity"] = json!(exact);
            report["mean_kl_divergence"] = json!(divergence);
            report["same_best_token"] = json!(same);
        }
        if as_json {
            console::line(format_args!("{}", serde_json::to_string_pretty(&report)?))?;
            return Ok(());
        }
        console::line(format_args!("perplexity       {ours:.4} over {} tokens", self.tokens))?;
        if against_exact {
            console::line(format_args!(
                "in exact mode    {exact:.4} ({:+.3} %)",
                (ours / exact - 1.0) * 100.0
            ))?;
            console::line(format_args!(
                "KL divergence    {divergence:.6} nats a token from exact mode"
            ))?;
            console::line(format_args!("same best token  {:.2} %", same * 100.0))?;
        }
        Ok(())
    }
}

fn log_sum_exp(logits: &[f32]) -> f64 {
    let max = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    max + logits.iter().map(|&x| (f64::from(x) - max).exp()).sum::<f64>().ln()
}

fn best(logits: &[f32]) -> Option<usize> {
    (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]))
}

/// Logits of every row.
fn step(model: &mut Decoder<CpuDevice>, cached_len: usize, ids: &[u32]) -> Result<Vec<f32>> {
    let row = |(i, &id): (usize, &u32)| Row {
        input: Input::Token(TokenId(id)),
        position: Position::text((cached_len + i) as u32),
    };
    let num_blocks = (cached_len + ids.len()).div_ceil(model.info().block_len);
    let table: Vec<BlockId> = (0..num_blocks as u32).map(BlockId).collect();
    let batch = Batch {
        rows: ids.iter().enumerate().map(row).collect(),
        sequences: vec![SequenceRows {
            id: SequenceId(0),
            rows: 0..ids.len(),
            cached_len,
            tables: vec![table; model.info().cache_groups.len()],
            mask: Mask::Causal,
        }],
        logits_rows: (0..ids.len()).collect(),
        ..Batch::default()
    };
    Ok(model.forward(&batch)?.logits)
}
