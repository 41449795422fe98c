// SPDX-License-Identifier: Apache-2.0
//
// aes_encrypt: AES encryption (FIPS 197) as a pipeline that never stalls.
//
// Byte order  NIST: the first byte of a block is bits [127:120].
//             Example (FIPS 197, appendix C.1): key 000102..0f, in_block
//             128'h00112233445566778899aabbccddeeff gives out_block
//             128'h69c4e0d86a7b0430d8cdb78070b4c55a.
// Round keys  round key 0 is the top-most 128 bits of round_keys, round key NR the lowest.
//             They must stand still from in_valid to out_valid of every block.
// Handshake   none: a block goes in whenever in_valid is high and comes out LATENCY cycles
//             later. in_side travels with the block unchanged.
// clear       empties all stages in one cycle; use it as reset.
// Latency     NR + 1 cycles: 11 (AES-128) or 15 (AES-256). Throughput 1 block per cycle.
// Clearing    out_block, out_side and every stage are zero while they hold no block.
// Unsupported decryption, AES-192, a different key for each block.

`resetall
`default_nettype none

module aes_encrypt #(
    parameter KEY_W  = 128,  // key width in bits, 128 or 256
    parameter SIDE_W = 1     // width of the side data in bits, >= 1
) (
    input  wire                             clk,
    input  wire                             clear,

    input  wire [(KEY_W/32+7)*128-1:0]      round_keys,

    input  wire                             in_valid,
    input  wire [127:0]                     in_block,
    input  wire [SIDE_W-1:0]                in_side,

    output wire                             out_valid,
    output wire [127:0]                     out_block,
    output wire [SIDE_W-1:0]                out_side
);

    localparam NR = KEY_W / 32 + 6;  // rounds

`ifndef SYNTHESIS
    initial begin
        if (KEY_W != 128 && KEY_W != 256) begin
            $error("%m: KEY_W is %0d, must be 128 or 256", KEY_W);
            $finish;
        end
        if (SIDE_W < 1) begin
            $error("%m: SIDE_W is %0d, must be at least 1", SIDE_W);
            $finish;
        end
    end
`endif

    // Stage 0 is the first AddRoundKey, stage r is round r.
    wire [NR:0]       stage_valid;
    wire [127:0]      stage_block [0:NR];
    reg  [SIDE_W-1:0] stage_side  [0:NR];

    reg               white_valid;
    reg [127:0]       white_block;

    always @(posedge clk) begin
        if (clear) begin
            white_valid <= 1'b0;
            white_block <= 128'd0;
        end else if (in_valid) begin
            white_valid <= 1'b1;
            white_block <= in_block ^ round_keys[NR*128 +: 128];
        end else if (white_valid) begin
            white_valid <= 1'b0;
            white_block <= 128'd0;
        end
    end

    assign stage_valid[0] = white_valid;
    assign stage_block[0] = white_block;

    genvar r;
    generate
        for (r = 1; r <= NR; r = r + 1) begin : g_round
            aes_round #(
                .LAST (r == NR)
            ) u_round (
                .clk       (clk),
                .clear     (clear),
                .in_valid  (stage_valid[r-1]),
                .in_block  (stage_block[r-1]),
                .round_key (round_keys[(NR-r)*128 +: 128]),
                .out_valid (stage_valid[r]),
                .out_block (stage_block[r])
            );
        end
    endgenerate

    integer k;
    always @(posedge clk) begin
        if (clear) begin
            for (k = 0; k <= NR; k = k + 1) stage_side[k] <= {SIDE_W{1'b0}};
        end else begin
            stage_side[0] <= in_valid ? in_side : {SIDE_W{1'b0}};
            for (k = 1; k <= NR; k = k + 1) stage_side[k] <= stage_side[k-1];
        end
    end

    assign out_valid = stage_valid[NR];
    assign out_block = stage_block[NR];
    assign out_side  = stage_side[NR];

endmodule

`resetall
