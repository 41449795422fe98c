// SPDX-License-Identifier: Apache-2.0
// Generated from rtl/tensortee.rdl by scripts/gen_regs.py. Do not edit.
// Register addresses, constant registers and enumerations. Macros, so that a module takes only what it uses.
`ifndef TENSORTEE_REGS_VH
`define TENSORTEE_REGS_VH

// Byte addresses on the AXI4-Lite port
`define TTEE_REG_ID 12'h000
`define TTEE_REG_VERSION 12'h004
`define TTEE_REG_PARAMS 12'h008
`define TTEE_REG_STATUS 12'h00C
`define TTEE_REG_INTR_STATE 12'h010
`define TTEE_REG_INTR_ENABLE 12'h014
`define TTEE_REG_INTR_TEST 12'h018
`define TTEE_REG_CMD 12'h020
`define TTEE_REG_CMD_BASE_LO 12'h024
`define TTEE_REG_CMD_BASE_HI 12'h028
`define TTEE_REG_CMD_NBYTES_LO 12'h02C
`define TTEE_REG_CMD_NBYTES_HI 12'h030
`define TTEE_REG_CMD_RESULT 12'h034
`define TTEE_REG_FAULT_STATUS 12'h040
`define TTEE_REG_FAULT_ADDR_LO 12'h044
`define TTEE_REG_FAULT_ADDR_HI 12'h048
`define TTEE_REG_FAULT_COUNT 12'h04C
`define TTEE_REG_SLOT_SEL 12'h060
`define TTEE_REG_SLOT_STATUS 12'h064
`define TTEE_REG_SLOT_BASE_LO 12'h068
`define TTEE_REG_SLOT_BASE_HI 12'h06C
`define TTEE_REG_SLOT_NBYTES_LO 12'h070
`define TTEE_REG_SLOT_NBYTES_HI 12'h074
`define TTEE_REG_SLOT_ID 12'h078
`define TTEE_REG_SLOT_VERSION_LO 12'h07C
`define TTEE_REG_SLOT_VERSION_HI 12'h080
`define TTEE_REG_SLOT_COUNT 12'h084

// Contents of the registers that never change
`define TTEE_CONST_ID 32'h54544545
`define TTEE_CONST_VERSION 32'h00010001

// State of the engine (STATUS.STATE)
`define TTEE_STATE_WIPE 3'd0
`define TTEE_STATE_NO_KEY 3'd1
`define TTEE_STATE_SETUP 3'd2
`define TTEE_STATE_READY 3'd3
`define TTEE_STATE_FATAL 3'd4

// Commands (CMD.OPCODE, CMD_RESULT.OPCODE)
`define TTEE_OP_DEFINE 4'd1
`define TTEE_OP_OPEN_WRITE 4'd2
`define TTEE_OP_CLOSE_WRITE 4'd3
`define TTEE_OP_OPEN_READ 4'd4
`define TTEE_OP_CLOSE_READ 4'd5
`define TTEE_OP_RELEASE 4'd6
`define TTEE_OP_ZEROIZE 4'd7

// Results of commands, windows and epochs (CMD_RESULT.RESULT, SLOT_STATUS.LAST_RESULT)
`define TTEE_RESULT_OK 8'd0
`define TTEE_RESULT_BAD_OPCODE 8'd1
`define TTEE_RESULT_BAD_SLOT 8'd2
`define TTEE_RESULT_NOT_READY 8'd3
`define TTEE_RESULT_BAD_STATE 8'd4
`define TTEE_RESULT_BAD_BASE 8'd5
`define TTEE_RESULT_BAD_LENGTH 8'd6
`define TTEE_RESULT_OVERLAP 8'd7
`define TTEE_RESULT_IDS_EXHAUSTED 8'd8
`define TTEE_RESULT_VERSION_EXHAUSTED 8'd9
`define TTEE_RESULT_COVERAGE_ERROR 8'd10
`define TTEE_RESULT_TAG_ERROR 8'd11
`define TTEE_RESULT_BUS_ERROR 8'd12
`define TTEE_RESULT_ABORTED 8'd13

// State of a tensor slot (SLOT_STATUS.STATE)
`define TTEE_SLOT_EMPTY 4'd0
`define TTEE_SLOT_DEFINED 4'd1
`define TTEE_SLOT_WRITING 4'd2
`define TTEE_SLOT_SEALED 4'd3
`define TTEE_SLOT_READING 4'd4
`define TTEE_SLOT_VERIFIED 4'd5
`define TTEE_SLOT_POISONED 4'd6

// Causes of refused or failed accesses (FAULT_STATUS.CAUSE)
`define TTEE_CAUSE_NONE 4'd0
`define TTEE_CAUSE_NOT_READY 4'd1
`define TTEE_CAUSE_BURST 4'd2
`define TTEE_CAUSE_NO_TENSOR 4'd3
`define TTEE_CAUSE_STATE 4'd4
`define TTEE_CAUSE_PARTIAL_LINE 4'd5
`define TTEE_CAUSE_BOUNDS 4'd6
`define TTEE_CAUSE_REWRITE 4'd7
`define TTEE_CAUSE_ORDER 4'd8
`define TTEE_CAUSE_MEM_READ 4'd9
`define TTEE_CAUSE_MEM_WRITE 4'd10

`endif
