// SPDX-License-Identifier: Apache-2.0
// The engine: every module below rtl/ and the include path, for Icarus Verilog, Verilator and whatever else reads
// such lists. Paths are relative to the project's folder.
+incdir+rtl/include
rtl/axi/burst_check.v
rtl/axi/read_path.v
rtl/axi/txn_table.v
rtl/axi/write_path.v
rtl/cells/fault_arb.v
rtl/cells/ram_1r1w.v
rtl/cells/reg_slice.v
rtl/cells/skid_buffer.v
rtl/control/axil_csr.v
rtl/control/command_unit.v
rtl/control/engine_ctrl.v
rtl/control/key_unit.v
rtl/crypto/aes_column.v
rtl/crypto/aes_encrypt.v
rtl/crypto/aes_key_expand.v
rtl/crypto/aes_round.v
rtl/crypto/aes_sbox.v
rtl/crypto/gf128_mul.v
rtl/crypto/gf_clmul32.v
rtl/crypto/keystream_gen.v
rtl/crypto/line_hash.v
rtl/crypto/power_ring.v
rtl/tensor/tensor_table.v
rtl/tensor/verifier.v
rtl/tensor/window_check.v
rtl/tensor/write_map.v
rtl/tensortee_engine.v
