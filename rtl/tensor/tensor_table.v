// SPDX-License-Identifier: Apache-2.0
//
// tensor_table: what the engine knows of each tensor. Tags and version numbers live only
// here, on chip.
//
// Lookup      two independent combinational ports (rd, wr): a line address hits the slot
//             whose lines contain it; slots never overlap (the command unit checks with the
//             third port, probe_*). hit is low if no slot matches; the other outputs then are
//             zero and mean nothing.
// Locks       while lock is high, lock_slot is reported as not open: its state is changing.
// Updates     by the command unit, one slot at a time (cmd_slot), in the next cycle:
//             define (geometry, IV, closed forms), bump (version + 1, tag forgotten), seal
//             (tag), set_state, set_result. erase empties the slot.
// wipe_keyed  erases all that is derived from the key; wipe_all erases every slot.
// Bursts      rd_inc/wr_inc count a burst of rd_slot/wr_slot in. A write is counted out by
//             wr_dec. A read is owed by two sides and counted out by each: rd_taken (the NPU
//             has its last beat) and rd_delivered (the memory owes it no beat). cmd_busy tells
//             whether bursts of cmd_slot are under way, any_busy whether any is.
//
// SEC_CM: WINDOW.OWNED - a slot is busy until neither the NPU nor the memory owes it a beat.
// SEC_CM: VERSION.MONOTONIC - the version number of a slot can only be set to zero together
// with a fresh tensor_id (define) or be incremented (bump).

`resetall
`default_nettype none
`include "tensortee_regs.vh"

module tensor_table #(
    parameter ADDR_W = 40,  // address width in bits
    parameter SLOTS  = 16,  // tensor slots, power of two
    parameter SLOT_W = 4    // width of a slot number in bits
) (
    input  wire                clk,
    input  wire                rst,

    input  wire [ADDR_W-7:0]   rd_line,
    output wire                rd_hit,
    output wire [SLOT_W-1:0]   rd_slot,
    output wire                rd_open,
    output wire [29:0]         rd_index,       // line index in the tensor
    output wire [30:0]         rd_lines,       // lines of the tensor
    output wire [36:0]         rd_nbytes,      // bytes of the tensor
    input  wire                rd_inc,
    input  wire                rd_taken,
    input  wire [SLOT_W-1:0]   rd_taken_slot,
    input  wire                rd_delivered,
    input  wire [SLOT_W-1:0]   rd_delivered_slot,
    input  wire [SLOT_W-1:0]   rd_iv_slot,
    output wire [95:0]         rd_iv,

    input  wire [ADDR_W-7:0]   wr_line,
    output wire                wr_hit,
    output wire [SLOT_W-1:0]   wr_slot,
    output wire                wr_open,
    output wire [29:0]         wr_index,
    output wire [30:0]         wr_lines,
    output wire [36:0]         wr_nbytes,
    input  wire                wr_inc,
    input  wire                wr_dec,
    input  wire [SLOT_W-1:0]   wr_dec_slot,
    input  wire [SLOT_W-1:0]   wr_iv_slot,
    output wire [95:0]         wr_iv,

    input  wire [ADDR_W-6:0]   probe_first,    // first line of a new tensor
    input  wire [ADDR_W-6:0]   probe_end,      // line after its last
    output wire                probe_overlap,

    input  wire                lock,
    input  wire [SLOT_W-1:0]   lock_slot,

    input  wire [SLOT_W-1:0]   cmd_slot,
    output wire [3:0]          cmd_state,
    output wire [30:0]         cmd_lines,
    output wire [36:0]         cmd_nbytes,
    output wire [95:0]         cmd_iv,
    output wire [127:0]        cmd_tag,
    output wire [127:0]        cmd_h_top,      // H^(n+1)
    output wire [127:0]        cmd_g_end,      // g^lines
    output wire                cmd_busy,
    output wire                any_busy,

    input  wire                define,
    input  wire [ADDR_W-7:0]   define_line,
    input  wire [36:0]         define_nbytes,
    input  wire [30:0]         define_lines,
    input  wire [31:0]         define_iv_hi,
    input  wire [127:0]        define_h_top,
    input  wire [127:0]        define_g_end,
    input  wire                bump,
    input  wire                seal,
    input  wire [127:0]        seal_tag,
    input  wire                set_state,
    input  wire [3:0]          set_state_to,
    input  wire                set_result,
    input  wire [7:0]          set_result_to,
    input  wire                erase,
    input  wire                wipe_keyed,
    input  wire                wipe_all,

    input  wire [SLOT_W-1:0]   view_slot,
    output wire [3:0]          view_state,
    output wire [7:0]          view_result,
    output wire [ADDR_W-7:0]   view_line,
    output wire [36:0]         view_nbytes,
    output wire [27:0]         view_id,
    output wire [63:0]         view_version
);

    localparam LW = ADDR_W - 6;

    reg [3:0]    state   [0:SLOTS-1];
    reg [7:0]    result  [0:SLOTS-1];
    reg [LW-1:0] base    [0:SLOTS-1];  // first line
    reg [30:0]   lines   [0:SLOTS-1];
    reg [36:0]   nbytes  [0:SLOTS-1];
    reg [31:0]   iv_hi   [0:SLOTS-1];  // domain || tensor_id
    reg [63:0]   version [0:SLOTS-1];
    reg [127:0]  tag     [0:SLOTS-1];
    reg [127:0]  h_top   [0:SLOTS-1];
    reg [127:0]  g_end   [0:SLOTS-1];

    wire [SLOTS-1:0]    rd_match, wr_match, overlap, rd_under_way, wr_under_way;
    wire [SLOTS*LW-1:0] rd_froms, wr_froms;    // lines from each slot's base to the line looked up
    wire [SLOTS*31-1:0] all_lines;
    wire [SLOTS*37-1:0] all_nbytes;
    wire [SLOTS-1:0]    reading, writing;

    genvar i;
    generate
        for (i = 0; i < SLOTS; i = i + 1) begin : g_slot
            localparam [31:0] INDEX = i;

            wire          used    = (state[i] != `TTEE_SLOT_EMPTY);
            wire          mine    = (cmd_slot == INDEX[SLOT_W-1:0]);
            wire [LW-1:0] rd_from = rd_line - base[i];
            wire [LW-1:0] wr_from = wr_line - base[i];
            wire [LW:0]   first   = {1'b0, base[i]};
            wire [LW:0]   behind  = first + lines_wide(lines[i]);

            assign rd_froms[i*LW +: LW]   = rd_from;
            assign wr_froms[i*LW +: LW]   = wr_from;
            assign all_lines[i*31 +: 31]  = lines[i];
            assign all_nbytes[i*37 +: 37] = nbytes[i];
            assign reading[i] = (state[i] == `TTEE_SLOT_READING) && !(lock && lock_slot == INDEX[SLOT_W-1:0]);
            assign writing[i] = (state[i] == `TTEE_SLOT_WRITING) && !(lock && lock_slot == INDEX[SLOT_W-1:0]);

            assign rd_match[i] = used && (rd_line >= base[i]) && ({1'b0, rd_from} < lines_wide(lines[i]));
            assign wr_match[i] = used && (wr_line >= base[i]) && ({1'b0, wr_from} < lines_wide(lines[i]));
            assign overlap[i]  = used && (first < probe_end) && (probe_first < behind);

            // At most 16 bursts of a direction have an entry, and two more wait in a register slice.
            reg  [4:0] rd_npu, rd_memory, writes;
            wire       rd_in     = rd_inc && (rd_slot == INDEX[SLOT_W-1:0]);
            wire       taken     = rd_taken && (rd_taken_slot == INDEX[SLOT_W-1:0]);
            wire       delivered = rd_delivered && (rd_delivered_slot == INDEX[SLOT_W-1:0]);
            wire       wr_in     = wr_inc && (wr_slot == INDEX[SLOT_W-1:0]);
            wire       wr_out    = wr_dec && (wr_dec_slot == INDEX[SLOT_W-1:0]);

            assign rd_under_way[i] = (rd_npu != 5'd0) || (rd_memory != 5'd0);
            assign wr_under_way[i] = (writes != 5'd0);

            always @(posedge clk) begin
                if (rst) begin
                    rd_npu    <= 5'd0;
                    rd_memory <= 5'd0;
                    writes    <= 5'd0;
                end else begin
                    rd_npu    <= rd_npu + {4'd0, rd_in} - {4'd0, taken};
                    rd_memory <= rd_memory + {4'd0, rd_in} - {4'd0, delivered};
                    writes    <= writes + {4'd0, wr_in} - {4'd0, wr_out};
                end
            end

            always @(posedge clk) begin
                if (rst || wipe_all || (erase && mine)) begin
                    state[i]   <= `TTEE_SLOT_EMPTY;
                    result[i]  <= `TTEE_RESULT_OK;
                    base[i]    <= {LW{1'b0}};
                    lines[i]   <= 31'd0;
                    nbytes[i]  <= 37'd0;
                    iv_hi[i]   <= 32'd0;
                    version[i] <= 64'd0;
                    tag[i]     <= 128'd0;
                    h_top[i]   <= 128'd0;
                    g_end[i]   <= 128'd0;
                end else begin
                    if (mine && define) begin
                        base[i]    <= define_line;
                        lines[i]   <= define_lines;
                        nbytes[i]  <= define_nbytes;
                        iv_hi[i]   <= define_iv_hi;
                        version[i] <= 64'd0;
                        h_top[i]   <= define_h_top;
                        g_end[i]   <= define_g_end;
                    end
                    if (mine && bump) begin
                        version[i] <= version[i] + 64'd1;
                        tag[i]     <= 128'd0;
                    end
                    if (mine && seal)       tag[i]    <= seal_tag;
                    if (mine && set_state)  state[i]  <= set_state_to;
                    if (mine && set_result) result[i] <= set_result_to;
                    if (wipe_keyed) begin
                        tag[i]   <= 128'd0;
                        h_top[i] <= 128'd0;
                        g_end[i] <= 128'd0;
                    end
                end
            end
        end
    endgenerate

    // A line count on the width of a line address plus one.
    function [LW:0] lines_wide;
        input [30:0] value;
        integer      k;
        begin
            for (k = 0; k <= LW; k = k + 1)
                lines_wide[k] = (k < 31) ? value[k % 31] : 1'b0;
        end
    endfunction

    // At most one slot matches, so an OR of the matching numbers is an encoder.
    function [SLOT_W-1:0] encode;
        input [SLOTS-1:0] match;
        integer           k;
        begin
            encode = {SLOT_W{1'b0}};
            for (k = 0; k < SLOTS; k = k + 1)
                if (match[k]) encode = encode | k[SLOT_W-1:0];
        end
    endfunction

    // What the matching slot holds is gathered by AND and OR of the match bits, without waiting
    // for its number.
    reg [LW-1:0] rd_offset, wr_offset;
    reg [30:0]   rd_lines_or, wr_lines_or;
    reg [36:0]   rd_nbytes_or, wr_nbytes_or;

    integer rd_i;
    always @* begin
        rd_offset    = {LW{1'b0}};
        rd_lines_or  = 31'd0;
        rd_nbytes_or = 37'd0;
        for (rd_i = 0; rd_i < SLOTS; rd_i = rd_i + 1)
            if (rd_match[rd_i]) begin
                rd_offset    = rd_offset | rd_froms[rd_i*LW +: LW];
                rd_lines_or  = rd_lines_or | all_lines[rd_i*31 +: 31];
                rd_nbytes_or = rd_nbytes_or | all_nbytes[rd_i*37 +: 37];
            end
    end

    integer wr_i;
    always @* begin
        wr_offset    = {LW{1'b0}};
        wr_lines_or  = 31'd0;
        wr_nbytes_or = 37'd0;
        for (wr_i = 0; wr_i < SLOTS; wr_i = wr_i + 1)
            if (wr_match[wr_i]) begin
                wr_offset    = wr_offset | wr_froms[wr_i*LW +: LW];
                wr_lines_or  = wr_lines_or | all_lines[wr_i*31 +: 31];
                wr_nbytes_or = wr_nbytes_or | all_nbytes[wr_i*37 +: 37];
            end
    end

    wire [63:0] rd_offset_wide = {{64-LW{1'b0}}, rd_offset};
    wire [63:0] wr_offset_wide = {{64-LW{1'b0}}, wr_offset};

    assign rd_hit    = |rd_match;
    assign rd_slot   = encode(rd_match);
    assign rd_open   = |(rd_match & reading);
    assign rd_index  = rd_offset_wide[29:0];
    assign rd_lines  = rd_lines_or;
    assign rd_nbytes = rd_nbytes_or;
    assign rd_iv     = {iv_hi[rd_iv_slot], version[rd_iv_slot]};

    assign wr_hit    = |wr_match;
    assign wr_slot   = encode(wr_match);
    assign wr_open   = |(wr_match & writing);
    assign wr_index  = wr_offset_wide[29:0];
    assign wr_lines  = wr_lines_or;
    assign wr_nbytes = wr_nbytes_or;
    assign wr_iv     = {iv_hi[wr_iv_slot], version[wr_iv_slot]};

    assign probe_overlap = |overlap;

    assign cmd_state  = state[cmd_slot];
    assign cmd_lines  = lines[cmd_slot];
    assign cmd_nbytes = nbytes[cmd_slot];
    assign cmd_iv     = {iv_hi[cmd_slot], version[cmd_slot]};
    assign cmd_tag    = tag[cmd_slot];
    assign cmd_h_top  = h_top[cmd_slot];
    assign cmd_g_end  = g_end[cmd_slot];
    assign cmd_busy   = rd_under_way[cmd_slot] || wr_under_way[cmd_slot];
    assign any_busy   = |{rd_under_way, wr_under_way};

    assign view_state   = state[view_slot];
    assign view_result  = result[view_slot];
    assign view_line    = base[view_slot];
    assign view_nbytes  = nbytes[view_slot];
    assign view_id      = iv_hi[view_slot][27:0];
    assign view_version = version[view_slot];

    wire _unused = &{1'b0, rd_offset_wide[63:30], wr_offset_wide[63:30]};

endmodule

`resetall
