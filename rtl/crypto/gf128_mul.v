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

    // Karatsuba: the nine products of the words 0 .. 3 and of their sums. Each has a net of
    // its own, because an event-driven simulator would pass on a common one nine times.
    wire [31:0] a01   = a[31:0] ^ a[63:32];
    wire [31:0] a23   = a[95:64] ^ a[127:96];
    wire [31:0] a02   = a[31:0] ^ a[95:64];
    wire [31:0] a13   = a[63:32] ^ a[127:96];
    wire [31:0] a0123 = a[31:0] ^ a[63:32] ^ a[95:64] ^ a[127:96];
    wire [31:0] b01   = b[31:0] ^ b[63:32];
    wire [31:0] b23   = b[95:64] ^ b[127:96];
    wire [31:0] b02   = b[31:0] ^ b[95:64];
    wire [31:0] b13   = b[63:32] ^ b[127:96];
    wire [31:0] b0123 = b[31:0] ^ b[63:32] ^ b[95:64] ^ b[127:96];
    wire [62:0] m0, m1, m2, m3, m01, m23, m02, m13, m0123;

    gf_clmul32 u_m0    (.en (in_valid), .a (a[31:0]),   .b (b[31:0]),   .p (m0));
    gf_clmul32 u_m1    (.en (in_valid), .a (a[63:32]),  .b (b[63:32]),  .p (m1));
    gf_clmul32 u_m2    (.en (in_valid), .a (a[95:64]),  .b (b[95:64]),  .p (m2));
    gf_clmul32 u_m3    (.en (in_valid), .a (a[127:96]), .b (b[127:96]), .p (m3));
    gf_clmul32 u_m01   (.en (in_valid), .a (a01),       .b (b01),       .p (m01));
    gf_clmul32 u_m23   (.en (in_valid), .a (a23),       .b (b23),       .p (m23));
    gf_clmul32 u_m02   (.en (in_valid), .a (a02),       .b (b02),       .p (m02));
    gf_clmul32 u_m13   (.en (in_valid), .a (a13),       .b (b13),       .p (m13));
    gf_clmul32 u_m0123 (.en (in_valid), .a (a0123),     .b (b0123),     .p (m0123));

    // 64-bit product from its low, high and middle 32-bit products.
    function [126:0] join64;
        input [62:0] low, high, middle;
        reg   [62:0] overlap;
        begin
            overlap = low ^ high ^ middle;
            join64  = {high ^ {32'd0, overlap[62:32]}, {1'b0, low} ^ {overlap[31:0], 32'd0}};
        end
    endfunction

    // 128-bit product from the nine 32-bit products.
    function [254:0] join128;
        input [62:0] p0, p1, p2, p3, p01, p23, p02, p13, p0123;
        reg   [63:0] low0, high0, middle0;
        reg   [62:0] low1, high1, middle1;
        begin
            {low1, low0}       = join64(p0, p1, p01);
            {high1, high0}     = join64(p2, p3, p23);
            {middle1, middle0} = join64(p02, p13, p0123);
            join128 = {
                high1,
                high0 ^ {1'b0, middle1 ^ low1 ^ high1},
                {1'b0, low1} ^ middle0 ^ low0 ^ high0,
                low0
            };
        end
    endfunction

    // Remainder by x^128 = 1 + x + x^2 + x^7. z[254] is the coefficient of x^0, so the lower
    // part of z is folded; first what the fold itself would push past x^127.
    function [127:0] remainder;
        input [254:0] z;
        reg   [63:0]  high, low;
        begin
            low       = {z[62:0], 1'b0};
            high      = z[126:63] ^ {low[0], 63'd0} ^ {low[1:0], 62'd0} ^ {low[6:0], 57'd0};
            remainder = {
                z[254:191] ^ high ^ (high >> 1) ^ (high >> 2) ^ (high >> 7),
                z[190:127] ^ low ^ {high[0], low[63:1]} ^ {high[1:0], low[63:2]} ^ {high[6:0], low[63:7]}
            };
        end
    endfunction

    // Optional stage behind the 32-bit products.
    generate
        if (STAGES >= 3) begin : g_products
            reg        valid;
            reg [62:0] q0, q1, q2, q3, q01, q23, q02, q13, q0123;
            always @(posedge clk) begin
                if (clear) begin
                    valid                                       <= 1'b0;
                    {q0, q1, q2, q3, q01, q23, q02, q13, q0123} <= 567'd0;
                end else if (in_valid || valid) begin
                    valid                                       <= in_valid;
                    {q0, q1, q2, q3, q01, q23, q02, q13, q0123} <= {m0, m1, m2, m3, m01, m23, m02, m13, m0123};
                end
            end
        end else begin : g_products
            wire        valid = in_valid;
            wire [62:0] q0 = m0, q1 = m1, q2 = m2, q3 = m3, q01 = m01, q23 = m23, q02 = m02, q13 = m13, q0123 = m0123;
        end
    endgenerate

    // Optional stage behind the 255-bit product. The products are joined at the clock edge,
    // not whenever one of them changes, for the same reason.
    generate
        if (STAGES >= 2) begin : g_joined
            reg         valid;
            reg [254:0] z;
            always @(posedge clk) begin
                if (clear) begin
                    valid <= 1'b0;
                    z     <= 255'd0;
                end else if (g_products.valid || valid) begin
                    valid <= g_products.valid;
                    z     <= join128(g_products.q0, g_products.q1, g_products.q2, g_products.q3, g_products.q01,
                                     g_products.q23, g_products.q02, g_products.q13, g_products.q0123);
                end
            end
        end else begin : g_joined
            wire         valid = g_products.valid;
            wire [254:0] z     = join128(g_products.q0, g_products.q1, g_products.q2, g_products.q3, g_products.q01,
                                         g_products.q23, g_products.q02, g_products.q13, g_products.q0123);
        end
    endgenerate

    always @(posedge clk) begin
        if (clear) begin
            out_valid <= 1'b0;
            p         <= 128'd0;
        end else if (g_joined.valid || out_valid) begin
            out_valid <= g_joined.valid;
            p         <= remainder(g_joined.z);
        end
    end

endmodule

`resetall
