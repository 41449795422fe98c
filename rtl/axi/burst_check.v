// SPDX-License-Identifier: Apache-2.0
//
// burst_check: decodes an AXI4 burst, looks its first line up, and says whether the burst may
// pass. Both directions use it; a read may touch any bytes, a write whole lines only.
//
// A burst touches the lines first .. last of its 4 KiB page. A WRAP that does not start in the
// first line of its container (`split`) touches wrap_first .. first - 1 after them.
//
// refusal     NONE, or the first cause that applies: NOT_READY, BURST, NO_TENSOR, STATE,
//             PARTIAL_LINE (writes), BOUNDS.
// room        bytes of the tensor from the start of line `first` on, 4096 for that many or more.
// Latency     none: combinational, the look-up in tensor_table included.
//
// SEC_CM: ACCESS.DEFAULT_DENY - a burst passes only if it lies in an open tensor.

`resetall
`default_nettype none
`include "tensortee_regs.vh"

module burst_check #(
    parameter ADDR_W = 40,  // AXI address width in bits
    parameter LB     = 4,   // log2 of the bytes in a beat: 4, 5, 6
    parameter WRITES = 0    // 1: INCR bursts of whole lines only
) (
    input  wire              engine_ready,

    input  wire [ADDR_W-1:0] addr,
    input  wire [7:0]        len,
    input  wire [2:0]        size,
    input  wire [1:0]        burst,

    // Tensor table
    output wire [ADDR_W-7:0] tt_line,
    input  wire              tt_hit,
    input  wire              tt_open,
    input  wire [29:0]       tt_index,
    input  wire [30:0]       tt_lines,
    input  wire [36:0]       tt_nbytes,

    output reg  [3:0]        refusal,
    output wire              wrap,
    output wire [11:0]       wrap_box,    // address bits inside the container
    output wire [5:0]        first,
    output wire [5:0]        last,
    output wire [5:0]        wrap_first,
    output wire              split,
    output wire [12:0]       room
);

    localparam [2:0] SIZE_FULL  = LB[2:0];
    localparam [1:0] BURST_INCR = 2'd1, BURST_WRAP = 2'd2;

    wire [11:0] in_size  = (12'd1 << size) - 12'd1;                  // address bits in a transfer
    wire [15:0] extent   = ({8'd0, len} + 16'd1) << size;            // bytes
    wire [15:0] end_byte = {4'd0, addr[11:0] & ~in_size} + extent;   // INCR: byte behind the burst, in the page
    wire [15:0] end_less = end_byte - 16'd1;
    wire [11:0] box_base = addr[11:0] & ~wrap_box;
    wire [11:0] box_last = addr[11:0] | wrap_box;

    assign wrap       = (WRITES == 0) && (burst == BURST_WRAP);
    assign wrap_box   = extent[11:0] - 12'd1;
    assign first      = addr[11:6];
    assign last       = wrap ? box_last[11:6] : end_less[11:6];
    assign wrap_first = box_base[11:6];
    assign split      = wrap && (wrap_first != first);

    wire wrap_len_ok = (len == 8'd1) || (len == 8'd3) || (len == 8'd7) || (len == 8'd15);
    wire burst_ok    = (size <= SIZE_FULL)
                       && ((burst == BURST_INCR && end_byte <= 16'd4096)
                           || (wrap && wrap_len_ok && (addr[11:0] & in_size) == 12'd0));
    wire whole       = (size == SIZE_FULL) && (addr[5:0] == 6'd0) && (extent[5:0] == 6'd0);

    assign tt_line = addr[ADDR_W-1:6];
    wire [30:0] index_last = {1'b0, tt_index} + {25'd0, last} - {25'd0, first};
    wire        in_bounds  = (index_last < tt_lines) && (!split || tt_index >= {24'd0, first} - {24'd0, wrap_first});
    wire [36:0] rest       = tt_nbytes - {1'b0, tt_index, 6'd0};
    assign room = (rest >= 37'd4096) ? 13'd4096 : rest[12:0];

    always @* begin
        if      (!engine_ready)           refusal = `TTEE_CAUSE_NOT_READY;
        else if (!burst_ok)               refusal = `TTEE_CAUSE_BURST;
        else if (!tt_hit)                 refusal = `TTEE_CAUSE_NO_TENSOR;
        else if (!tt_open)                refusal = `TTEE_CAUSE_STATE;
        else if (WRITES != 0 && !whole)   refusal = `TTEE_CAUSE_PARTIAL_LINE;
        else if (!in_bounds)              refusal = `TTEE_CAUSE_BOUNDS;
        else                              refusal = `TTEE_CAUSE_NONE;
    end

    wire _unused = &{1'b0, extent, end_less, box_base, box_last};

endmodule

`resetall
