// SPDX-License-Identifier: Apache-2.0
//
// gf128_mul: pipelined product in GF(2^128), polynomial x^128 + x^7 + x^2 + x + 1
// (NIST SP 800-38D, section 6.3).
//
// Two levels of Karatsuba (nine 32-bit carry-less products), then the reduction.
//
// Bit order   NIST: bit 127 is the coefficient of x^0, the first byte of the block is bits
//             [127:120]. One is 128'h80000000000000000000000000000000. Example (SP 800-38D
//             test case 2): 128'h0388dace60b6a392f328c2b971b2fe78 times
//             128'h66e94bd4ef8a2c3b884cfa59ca342b2e is 128'h5e2ec746917062882c85b0685353deb7.
// Handshake   none: a pair goes in whenever in_valid is high and never waits.
// clear       empties all stages in one cycle; use it as reset.
// Latency     STAGES cycles. Throughput 1 product per cycle.
// Clearing    p and every stage are zero while they hold no product; nothing is computed
//             while in_valid is low.

`resetall
`default_nettype none

module gf128_mul #(
    parameter STAGES = 2  // latency in cycles, 1 to 3
) (
    input  wire         clk,
    input  wire         clear,

    input  wire         in_valid,
    input  wire [127:0] a,
    input  wire [127:0] b,

    output reg          out_valid,
    output reg  [127:0] p
);

`ifndef SYNTHESIS
    initial begin
        if (STAGES < 1 || STAGES > 3) begin
            $error("%m: STAGES is %0d, must be 1 to 3", STAGES);
            $finish;
        end
    end
`endif

    // Karatsuba: operands of the nine products. Words 0 .. 3, then 0+1, 2+3, 0+2, 1+3 and all.
    function [287:0] operands;
        input [127:0] v;
        operands = {
            v[127:96] ^ v[95:64] ^ v[63:32] ^ v[31:0],
            v[127:96] ^ v[63:32],
            v[95:64] ^ v[31:0],
            v[127:96] ^ v[95:64],
            v[63:32] ^ v[31:0],
            v
        };
    endfunction

    // 64-bit product from its low, high and middle 32-bit products.
    function [126:0] join64;
        input [62:0] low, high, middle;
        join64 = {high, 1'b0, low} ^ {32'd0, low ^ high ^ middle, 32'd0};
    endfunction

    // 128-bit product from the nine products.
    function [254:0] join128;
        input [566:0] m;
        reg   [126:0] low, high, middle;
        begin
            low     = join64(m[0 +: 63],   m[63 +: 63],  m[252 +: 63]);
            high    = join64(m[126 +: 63], m[189 +: 63], m[315 +: 63]);
            middle  = join64(m[378 +: 63], m[441 +: 63], m[504 +: 63]);
            join128 = {high, 1'b0, low} ^ {64'd0, low ^ high ^ middle, 64'd0};
        end
    endfunction

    // Remainder by x^128 = 1 + x + x^2 + x^7. z[254] is the coefficient of x^0, so the lower
    // part of z is folded; first what the fold itself would push past x^127.
    function [127:0] remainder;
        input [254:0] z;
        reg   [127:0] high;
        begin
            high      = {z[126:0], 1'b0};
            high      = high ^ {high[0], 127'd0} ^ {high[1:0], 126'd0} ^ {high[6:0], 121'd0};
            remainder = z[254:127] ^ high ^ (high >> 1) ^ (high >> 2) ^ (high >> 7);
        end
    endfunction

    wire [287:0] a_words = operands(a);
    wire [287:0] b_words = operands(b);
    wire [566:0] products;

    genvar i;
    generate
        for (i = 0; i < 9; i = i + 1) begin : g_product
            gf_clmul32 u_product (
                .en (in_valid),
                .a  (a_words[32*i +: 32]),
                .b  (b_words[32*i +: 32]),
                .p  (products[63*i +: 63])
            );
        end
    endgenerate

    // Optional stage behind the 32-bit products.
    wire         joined_valid;
    wire [566:0] joined_products;

    generate
        if (STAGES >= 3) begin : g_products
            reg         valid;
            reg [566:0] held;
            always @(posedge clk) begin
                if (clear) begin
                    valid <= 1'b0;
                    held  <= 567'd0;
                end else if (in_valid || valid) begin
                    valid <= in_valid;
                    held  <= products;
                end
            end
            assign joined_valid    = valid;
            assign joined_products = held;
        end else begin : g_no_products
            assign joined_valid    = in_valid;
            assign joined_products = products;
        end
    endgenerate

    wire [254:0] z = join128(joined_products);

    // Optional stage behind the 255-bit product.
    wire         last_valid;
    wire [254:0] last_z;

    generate
        if (STAGES >= 2) begin : g_z
            reg         valid;
            reg [254:0] held;
            always @(posedge clk) begin
                if (clear) begin
                    valid <= 1'b0;
                    held  <= 255'd0;
                end else if (joined_valid || valid) begin
                    valid <= joined_valid;
                    held  <= z;
                end
            end
            assign last_valid = valid;
            assign last_z     = held;
        end else begin : g_no_z
            assign last_valid = joined_valid;
            assign last_z     = z;
        end
    endgenerate

    always @(posedge clk) begin
        if (clear) begin
            out_valid <= 1'b0;
            p         <= 128'd0;
        end else if (last_valid || out_valid) begin
            out_valid <= last_valid;
            p         <= remainder(last_z);
        end
    end

endmodule

`resetall
