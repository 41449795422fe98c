// SPDX-License-Identifier: Apache-2.0
//
// keystream_gen: produces and buffers the keystream of the outstanding bursts of one
// direction, so that it is there when the data comes.
//
// A burst is announced with start_*: its entry, slot, counter of its first block and number
// of beats. The generator runs ahead of every announced burst by up to KS_DEPTH beats, the
// oldest burst first, one beat (LANES blocks) per cycle. Each entry has its own part of the
// buffer, so bursts may be consumed in any order and interleaved beat by beat.
//
// Block       AES_K(iv || BE32(ctr)), ctr = 2 + index of the block in the tensor
//             (NIST SP 800-38D 6.5; the IV comes from the tensor table by slot).
// Byte order  pop_data is in bus order: the first keystream byte is pop_data[7:0]; the first
//             block of the beat is pop_data[127:0].
// pop         allowed when avail[pop_txn]; pop_data is valid in the cycle after.
// aes_*       one borrowed block at a time for the key unit (bit 0) or the command unit (bit 1),
//             which never ask together; it takes the place of one beat. Request: valid/ready.
//             Response: one-cycle pulse.
// wipe_*      overwrites the buffer word wipe_addr with zero.
// Latency     start to avail: 3 + NR + 2 cycles. Throughput 1 beat per cycle.

`resetall
`default_nettype none

module keystream_gen #(
    parameter KEY_W    = 128,  // AES key width in bits: 128, 256
    parameter LANES    = 1,    // AES lanes: 1, 2, 4
    parameter TXNS     = 8,    // bursts, power of two, >= 2
    parameter KS_DEPTH = 32,   // beats buffered per burst, power of two, >= AES latency + 6
    parameter SLOT_W   = 4     // width of a slot number in bits
) (
    input  wire                                clk,
    input  wire                                rst,

    input  wire [128*(KEY_W/32+7)-1:0]         round_keys,

    input  wire                                start,
    input  wire [$clog2(TXNS)-1:0]             start_txn,
    input  wire [SLOT_W-1:0]                   start_slot,
    input  wire [31:0]                         start_ctr,
    input  wire [8:0]                          start_beats,
    input  wire [TXNS*TXNS-1:0]                older,        // age of the entries, see txn_table

    output wire [SLOT_W-1:0]                   iv_slot,
    input  wire [95:0]                         iv,

    input  wire                                pop,
    input  wire [$clog2(TXNS)-1:0]             pop_txn,
    output wire [TXNS-1:0]                     avail,
    output wire [128*LANES-1:0]                pop_data,

    input  wire [1:0]                          aes_req_valid,
    output wire                                aes_req_ready,
    input  wire [255:0]                        aes_req_block,
    output reg                                 aes_rsp_valid,
    output reg  [127:0]                        aes_rsp_block,

    input  wire                                wipe,
    input  wire [$clog2(TXNS*KS_DEPTH)-1:0]    wipe_addr
);

    localparam TW = $clog2(TXNS);
    localparam DW = $clog2(KS_DEPTH);
    localparam BW = 128 * LANES;

    // ------------------------------------------------------------------------------------
    // What is left to do for each burst
    // ------------------------------------------------------------------------------------
    wire            borrow = (aes_req_valid != 2'd0);
    wire [TXNS-1:0] eligible;
    reg             issue_burst;       // a beat of issue_txn enters the lanes
    reg  [TW-1:0]   issue_txn;

    wire            ks_out_valid;      // a beat of ks_out_txn leaves the lanes
    wire [TW-1:0]   ks_out_txn;

    reg  [SLOT_W-1:0] slot [0:TXNS-1];
    reg  [31:0]       ctr  [0:TXNS-1];
    reg  [DW-1:0]     wptr [0:TXNS-1];
    reg  [DW-1:0]     rptr [0:TXNS-1];

    genvar i;
    generate
        for (i = 0; i < TXNS; i = i + 1) begin : g_burst
            localparam [31:0] INDEX = i;

            reg  [8:0]  left;          // beats to be issued
            reg  [DW:0] ahead;         // beats issued and not popped
            reg  [DW:0] count;         // beats in the buffer
            wire        starts = start && (start_txn == INDEX[TW-1:0]);
            wire        issues = issue_burst && (issue_txn == INDEX[TW-1:0]);
            wire        lands  = ks_out_valid && (ks_out_txn == INDEX[TW-1:0]);
            wire        pops   = pop && (pop_txn == INDEX[TW-1:0]);

            assign eligible[i] = (left != 9'd0) && !ahead[DW];
            assign avail[i]    = (count != {DW+1{1'b0}});

            always @(posedge clk) begin
                if (rst) begin
                    left    <= 9'd0;
                    ahead   <= {DW+1{1'b0}};
                    count   <= {DW+1{1'b0}};
                    slot[i] <= {SLOT_W{1'b0}};
                    ctr[i]  <= 32'd0;
                    wptr[i] <= {DW{1'b0}};
                    rptr[i] <= {DW{1'b0}};
                end else begin
                    if (starts) begin
                        left    <= start_beats;
                        slot[i] <= start_slot;
                        ctr[i]  <= start_ctr;
                    end else if (issues) begin
                        left   <= left - 9'd1;
                        ctr[i] <= ctr[i] + LANES;
                    end
                    if (issues && !pops)      ahead <= ahead + 1'b1;
                    else if (pops && !issues) ahead <= ahead - 1'b1;
                    if (lands && !pops)       count <= count + 1'b1;
                    else if (pops && !lands)  count <= count - 1'b1;
                    if (lands) wptr[i] <= wptr[i] + 1'b1;
                    if (pops)  rptr[i] <= rptr[i] + 1'b1;
                end
            end
        end
    endgenerate

    // Oldest burst first: ages are a total order, so at most one bit of `next` is set.
    wire [TXNS-1:0] next;
    generate
        for (i = 0; i < TXNS; i = i + 1) begin : g_next
            assign next[i] = eligible[i] && ((eligible & older[i*TXNS +: TXNS]) == {TXNS{1'b0}});
        end
    endgenerate

    integer k;
    always @* begin
        issue_txn = {TW{1'b0}};
        for (k = 0; k < TXNS; k = k + 1)
            if (next[k]) issue_txn = issue_txn | k[TW-1:0];
        issue_burst = (eligible != {TXNS{1'b0}}) && !borrow;
    end

    // ------------------------------------------------------------------------------------
    // AES lanes
    // ------------------------------------------------------------------------------------
    // The borrowed block goes first: it is one cycle now and then.
    wire [127:0]  borrowed = aes_req_valid[0] ? aes_req_block[127:0] : aes_req_block[255:128];
    assign aes_req_ready = 1'b1;
    assign iv_slot       = slot[issue_txn];

    reg           lane_valid;
    reg           lane_borrowed;
    reg  [TW-1:0] lane_txn;
    reg  [95:0]   lane_iv;
    reg  [31:0]   lane_ctr;

    always @(posedge clk) begin
        if (rst) begin
            lane_valid    <= 1'b0;
            lane_borrowed <= 1'b0;
            lane_txn      <= {TW{1'b0}};
            lane_iv       <= 96'd0;
            lane_ctr      <= 32'd0;
        end else begin
            lane_valid    <= issue_burst || borrow;
            lane_borrowed <= borrow;
            lane_txn      <= issue_txn;
            {lane_iv, lane_ctr} <= borrow ? borrowed : {iv, ctr[issue_txn]};
        end
    end

    wire [BW-1:0]    ks_block;         // NIST order within each lane
    wire [BW-1:0]    ks_beat;          // bus order
    wire [LANES-1:0] lane_out_valid;
    wire [TW:0]      lane_out_side;

    generate
        for (i = 0; i < LANES; i = i + 1) begin : g_lane
            localparam [31:0] INDEX = i;
            // Side-band travels with lane 0; the other lanes run in step.
            if (i == 0) begin : g_first
                aes_encrypt #(
                    .KEY_W  (KEY_W),
                    .SIDE_W (TW + 1)
                ) u_aes (
                    .clk        (clk),
                    .clear      (rst),
                    .round_keys (round_keys),
                    .in_valid   (lane_valid),
                    .in_block   ({lane_iv, lane_ctr}),
                    .in_side    ({lane_borrowed, lane_txn}),
                    .out_valid  (lane_out_valid[0]),
                    .out_block  (ks_block[127:0]),
                    .out_side   (lane_out_side)
                );
            end else begin : g_other
                wire unused_side;
                aes_encrypt #(
                    .KEY_W  (KEY_W),
                    .SIDE_W (1)
                ) u_aes (
                    .clk        (clk),
                    .clear      (rst),
                    .round_keys (round_keys),
                    .in_valid   (lane_valid && !lane_borrowed),
                    .in_block   ({lane_iv, lane_ctr + INDEX}),
                    .in_side    (1'b0),
                    .out_valid  (lane_out_valid[i]),
                    .out_block  (ks_block[128*i +: 128]),
                    .out_side   (unused_side)
                );
                wire _unused = &{1'b0, unused_side, lane_out_valid[i]};
            end
        end
        for (i = 0; i < BW / 8; i = i + 1) begin : g_order
            assign ks_beat[8*i +: 8] = ks_block[128*(i/16) + 8*(15 - i%16) +: 8];
        end
    endgenerate

    assign ks_out_valid = lane_out_valid[0] && !lane_out_side[TW];
    assign ks_out_txn   = lane_out_side[TW-1:0];

    always @(posedge clk) begin
        if (rst) begin
            aes_rsp_valid <= 1'b0;
            aes_rsp_block <= 128'd0;
        end else begin
            aes_rsp_valid <= lane_out_valid[0] && lane_out_side[TW];
            aes_rsp_block <= (lane_out_valid[0] && lane_out_side[TW]) ? ks_block[127:0] : 128'd0;
        end
    end

    // ------------------------------------------------------------------------------------
    // Buffer
    // ------------------------------------------------------------------------------------
    ram_1r1w #(
        .W     (BW),
        .DEPTH (TXNS * KS_DEPTH)
    ) u_buffer (
        .clk   (clk),
        .we    (ks_out_valid || wipe),
        .waddr (wipe ? wipe_addr : {ks_out_txn, wptr[ks_out_txn]}),
        .wdata (wipe ? {BW{1'b0}} : ks_beat),
        .clear (wipe),
        .re    (pop),
        .raddr ({pop_txn, rptr[pop_txn]}),
        .rdata (pop_data)
    );

endmodule

`resetall
