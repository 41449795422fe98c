// SPDX-License-Identifier: Apache-2.0
//
// line_hash: what each ciphertext beat adds to the hash of its tensor, in any order.
//
// For beat t of a burst that starts at line i, with C_k the block in lane k:
//     add = (sum_k C_k * H^-k) * Q,   Q = Q(i) * B[t],   Q(i) = H^(-4 i),   B[t] = H^(-LANES t)
// Summed over a tensor of n blocks this is GHASH without its length block, divided by
// H^(n+1). The Q of the first beat of each line is the line's addition to the coverage hash
// (divided by the same power). All products are feed-forward.
//
// Byte order  in_beat is in bus order: the first byte of block k is in_beat[128 k +: 8]; bytes
//             outside the message must be zero. Field elements are in NIST order (bit 127 is
//             the coefficient of x^0).
// Handshake   none: accepts a beat every cycle; out_* is a pulse.
// Latency     6 cycles (LATENCY). Throughput 1 beat per cycle.
// Tables      B[t] is written through tbl_* (tbl_sel 5) by the key unit, which also wipes it.

`resetall
`default_nettype none

module line_hash #(
    parameter LANES  = 1,  // 128-bit blocks per beat: 1, 2, 4
    parameter SLOT_W = 4   // width of a slot number in bits
) (
    input  wire                 clk,
    input  wire                 rst,

    input  wire [127:0]         hinv1,
    input  wire [127:0]         hinv2,
    input  wire [127:0]         hinv3,
    input  wire                 tbl_we,
    input  wire [2:0]           tbl_sel,
    input  wire [7:0]           tbl_addr,
    input  wire [127:0]         tbl_data,

    input  wire                 in_valid,
    input  wire [128*LANES-1:0] in_beat,
    input  wire [SLOT_W-1:0]    in_slot,
    input  wire [127:0]         in_q,
    input  wire [7:0]           in_t,
    input  wire                 in_line_first,
    input  wire                 in_line_last,

    output wire                 out_valid,
    output wire [SLOT_W-1:0]    out_slot,
    output wire [127:0]         out_add,
    output wire [127:0]         out_cov,        // zero but for the first beat of a line
    output wire                 out_line_last
);

    localparam TBL_DEPTH = 256 / LANES;
    localparam TBL_AW    = $clog2(TBL_DEPTH);
    localparam SIDE_W    = SLOT_W + 2;

    // Stage 1: input registers beside the table look-up.
    reg                  s1_valid;
    reg  [127:0]         s1_q;
    reg  [128*LANES-1:0] s1_block;       // NIST order within each lane
    reg  [SIDE_W-1:0]    s1_side, s2_side, s3_side, s4_side, s5_side;
    wire [127:0]         step;

    ram_1r1w #(
        .W     (128),
        .DEPTH (TBL_DEPTH)
    ) u_steps (
        .clk   (clk),
        .we    (tbl_we && tbl_sel == 3'd5),
        .waddr (tbl_addr[TBL_AW-1:0]),
        .wdata (tbl_data),
        .clear (tbl_we),
        .re    (in_valid),
        .raddr (in_t[TBL_AW-1:0]),
        .rdata (step)
    );

    wire [128*LANES-1:0] in_block;
    genvar i;
    generate
        for (i = 0; i < 16 * LANES; i = i + 1) begin : g_order
            assign in_block[128*(i/16) + 8*(15 - i%16) +: 8] = in_beat[8*i +: 8];
        end
    endgenerate

    always @(posedge clk) begin
        if (rst) begin
            s1_valid <= 1'b0;
            s1_q     <= 128'd0;
            s1_block <= {128*LANES{1'b0}};
            s1_side  <= {SIDE_W{1'b0}};
            s2_side  <= {SIDE_W{1'b0}};
            s3_side  <= {SIDE_W{1'b0}};
            s4_side  <= {SIDE_W{1'b0}};
            s5_side  <= {SIDE_W{1'b0}};
        end else begin
            s1_valid <= in_valid;
            s1_q     <= in_valid ? in_q : 128'd0;
            s1_block <= in_valid ? in_block : {128*LANES{1'b0}};
            s1_side  <= {in_slot, in_line_first, in_line_last};
            s2_side  <= s1_side;
            s3_side  <= s2_side;
            s4_side  <= s3_side;
            s5_side  <= s4_side;
        end
    end

    // Stages 2, 3: Q and the blocks moved to the position of lane 0.
    wire         q_valid;
    wire [127:0] q;
    gf128_mul #(
        .STAGES (2)
    ) u_q (
        .clk       (clk),
        .clear     (rst),
        .in_valid  (s1_valid),
        .a         (s1_q),
        .b         (step),
        .out_valid (q_valid),
        .p         (q)
    );

    reg  [127:0] lane0_s2, lane0_s3;
    always @(posedge clk) begin
        if (rst) begin
            lane0_s2 <= 128'd0;
            lane0_s3 <= 128'd0;
        end else begin
            lane0_s2 <= s1_block[127:0];
            lane0_s3 <= lane0_s2;
        end
    end

    wire [127:0] x;
    generate
        if (LANES == 1) begin : g_sum
            assign x = lane0_s3;
            wire _unused = &{1'b0, hinv1, hinv2, hinv3};
        end else begin : g_sum
            wire [128*LANES-1:0] moved;
            wire [LANES-1:0]     moved_valid;
            assign moved[127:0]   = lane0_s3;
            assign moved_valid[0] = q_valid;
            for (i = 1; i < LANES; i = i + 1) begin : g_lane
                gf128_mul #(
                    .STAGES (2)
                ) u_mul (
                    .clk       (clk),
                    .clear     (rst),
                    .in_valid  (s1_valid),
                    .a         (s1_block[128*i +: 128]),
                    .b         (i == 1 ? hinv1 : i == 2 ? hinv2 : hinv3),
                    .out_valid (moved_valid[i]),
                    .p         (moved[128*i +: 128])
                );
            end
            if (LANES == 2) begin : g_two
                assign x = moved[127:0] ^ moved[255:128];
                wire _unused = &{1'b0, moved_valid, hinv2, hinv3};
            end else begin : g_four
                assign x = moved[127:0] ^ moved[255:128] ^ moved[383:256] ^ moved[511:384];
                wire _unused = &{1'b0, moved_valid};
            end
        end
    endgenerate

    // Stages 4, 5: the addition; Q of a line's first beat goes along.
    gf128_mul #(
        .STAGES (2)
    ) u_add (
        .clk       (clk),
        .clear     (rst),
        .in_valid  (q_valid),
        .a         (x),
        .b         (q),
        .out_valid (out_valid),
        .p         (out_add)
    );

    reg [127:0] cov_s4, cov_s5;
    always @(posedge clk) begin
        if (rst) begin
            cov_s4 <= 128'd0;
            cov_s5 <= 128'd0;
        end else begin
            cov_s4 <= (q_valid && s3_side[1]) ? q : 128'd0;
            cov_s5 <= cov_s4;
        end
    end

    assign out_cov       = cov_s5;
    assign out_slot      = s5_side[SIDE_W-1:2];
    assign out_line_last = s5_side[0];

    wire _unused_wide = &{1'b0, s5_side[1], tbl_addr, in_t};

endmodule

`resetall
