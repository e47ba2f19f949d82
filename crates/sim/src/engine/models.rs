//! Models and GPUs whose figures are known, so that their tables need no `engine.toml`.

/// Bytes of one weight and of one element of the KV cache: 16-bit floats.
const ELEMENT_BYTES: u64 = 2;

/// Tokens in a block of the KV cache unless stated: vLLM's default on NVIDIA GPUs.
pub(super) const KV_BLOCK_TOKENS: u32 = 16;

/// Share of a GPU's memory that an engine uses, in percent: vLLM's `gpu_memory_utilization`.
const MEMORY_USED_PERCENT: u64 = 90;

/// A language model, as its publisher's `config.json` describes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Model {
    /// Name without its publisher, as the folder of its tables is called.
    pub name: &'static str,
    /// Transformer layers (`num_hidden_layers`).
    pub layers: u32,
    /// Width of the activations (`hidden_size`).
    pub hidden_size: u32,
    /// Heads that have keys and values of their own (`num_key_value_heads`).
    pub kv_heads: u32,
    /// Elements of one head (`head_dim`).
    pub head_dim: u32,
    /// Weights in all.
    pub parameters: u64,
}

/// The models known.
pub const MODELS: &[Model] = &[
    Model {
        name: "Llama-3.1-8B",
        layers: 32,
        hidden_size: 4_096,
        kv_heads: 8,
        head_dim: 128,
        parameters: 8_030_261_248,
    },
    Model {
        name: "Llama-3.1-70B",
        layers: 80,
        hidden_size: 8_192,
        kv_heads: 8,
        head_dim: 128,
        parameters: 70_553_706_496,
    },
    Model {
        name: "Qwen3-32B",
        layers: 64,
        hidden_size: 5_120,
        kv_heads: 8,
        head_dim: 128,
        parameters: 32_762_123_264,
    },
];

impl Model {
    /// The model whose tables are in a folder of that name; capitals do not matter.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        MODELS.iter().find(|model| model.name.eq_ignore_ascii_case(name))
    }

    /// KV cache that one token takes, over all layers and GPUs.
    #[must_use]
    pub const fn kv_bytes_per_token(&self) -> u64 {
        kv_bytes_per_token(self.layers, self.kv_heads, self.head_dim)
    }

    /// KV blocks of 16 tokens that fit beside the weights on so many GPUs; zero where
    /// the weights alone do not fit.
    #[must_use]
    pub fn kv_blocks(&self, gpu: &Gpu, tensor_parallel: u32) -> u64 {
        let used_bytes = u64::from(tensor_parallel) * gpu.memory_bytes / 100 * MEMORY_USED_PERCENT;
        let left_bytes = used_bytes.saturating_sub(self.parameters * ELEMENT_BYTES);
        left_bytes / (self.kv_bytes_per_token() * u64::from(KV_BLOCK_TOKENS))
    }
}

/// KV cache that one token takes: a key and a value for each head of each layer.
pub(super) const fn kv_bytes_per_token(layers: u32, kv_heads: u32, head_dim: u32) -> u64 {
    2 * layers as u64 * kv_heads as u64 * head_dim as u64 * ELEMENT_BYTES
}

/// A GPU and the links between several of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gpu {
    /// Name, as the folder above the models is called.
    pub name: &'static str,
    /// Memory of one GPU.
    pub memory_bytes: u64,
    /// What a link carries, in 10^9 bytes a second in one direction.
    pub link_gb_per_s: f64,
    /// How long one exchange between neighbours takes besides its bytes, in microseconds.
    pub link_latency_us: f64,
}

/// The GPUs known; the first is assumed where the folder names none.
///
/// RTX PRO 6000: 96 GiB; two of them exchange activations over PCI Express without a bridge. The
/// 16 GB/s and 20 us are those that the measurement's authors state with their tables; the KV
/// blocks that follow from the memory are those of their two runs.
pub const GPUS: &[Gpu] = &[Gpu {
    name: "RTXPRO6000",
    memory_bytes: 96 << 30,
    link_gb_per_s: 16.0,
    link_latency_us: 20.0,
}];

impl Gpu {
    /// The GPU whose tables are in a folder of that name; capitals do not matter.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        GPUS.iter().find(|gpu| gpu.name.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes of the two measured engines, as their operators state them.
    #[test]
    fn kv_blocks_are_those_of_the_measured_engines() {
        let gpu = &GPUS[0];
        let blocks =
            |name, gpus| Model::named(name).map(|model: &Model| model.kv_blocks(gpu, gpus));
        assert_eq!(blocks("Llama-3.1-8B", 1), Some(36_578));
        assert_eq!(blocks("qwen3-32b", 2), Some(28_614));
        assert_eq!(blocks("Llama-3.1-70B", 1), Some(0));
        assert_eq!(blocks("Llama-3.1-9B", 1), None);
    }
}
