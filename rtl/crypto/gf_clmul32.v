// SPDX-License-Identifier: Apache-2.0
//
// gf_clmul32: carry-less product of two polynomials over GF(2) of degree below 32.
//
// Each operand is split into four words whose bits lie four places apart, and the sixteen
// products of these words are computed in one of two ways. Synthesis builds a tree of AND and
// XOR gates. Every other tool multiplies integers: at most eight ones meet in a place, so
// that no carry reaches the next one, and the lowest bit of each place is the XOR. That
// simulates several times faster. The two are proven equal by tests/rtl/test_crypto_equiv.py.
//
// Bit order   bit i is the coefficient of z^i. Example: a = 32'h3, b = 32'h7 gives p = 63'h9.
// Latency     combinational. p is zero, and nothing is computed, while en is low.

`resetall
`default_nettype none

module gf_clmul32 (
    input  wire        en,
    input  wire [31:0] a,
    input  wire [31:0] b,
    output reg  [62:0] p
);

`ifdef SYNTHESIS
    `define GF_SPREAD_PRODUCT(u, v) xor_tree(u, v)

    function [62:0] xor_tree;
        input [62:0]    u;
        input [62:0]    v;
        reg [32*63-1:0] rows;
        integer         k, count;
        begin
            for (k = 0; k < 32; k = k + 1) rows[k*63 +: 63] = (u & {63{v[k]}}) << k;
            for (count = 16; count > 0; count = count / 2) begin
                for (k = 0; k < count; k = k + 1) rows[k*63 +: 63] = rows[2*k*63 +: 63] ^ rows[(2*k+1)*63 +: 63];
            end
            xor_tree = rows[62:0];
        end
    endfunction
`else
    `define GF_SPREAD_PRODUCT(u, v) (u * v)
`endif

    localparam [62:0] PLACE0 = 63'h1111111111111111;
    localparam [62:0] PLACE1 = 63'h2222222222222222;
    localparam [62:0] PLACE2 = 63'h4444444444444444;
    localparam [62:0] PLACE3 = 63'h0888888888888888;

    // Of each operand, u0 holds the bits 0, 4, 8 .., u1 the bits 1, 5, 9 .., and so on.
    function [62:0] product;
        input [62:0] u;
        input [62:0] v;
        reg   [62:0] u0, u1, u2, u3, v0, v1, v2, v3;
        begin
            u0 = u & PLACE0;
            u1 = u & PLACE1;
            u2 = u & PLACE2;
            u3 = u & PLACE3;
            v0 = v & PLACE0;
            v1 = v & PLACE1;
            v2 = v & PLACE2;
            v3 = v & PLACE3;
            product = ((`GF_SPREAD_PRODUCT(u0, v0) ^ `GF_SPREAD_PRODUCT(u1, v3)
                      ^ `GF_SPREAD_PRODUCT(u2, v2) ^ `GF_SPREAD_PRODUCT(u3, v1)) & PLACE0)
                    | ((`GF_SPREAD_PRODUCT(u0, v1) ^ `GF_SPREAD_PRODUCT(u1, v0)
                      ^ `GF_SPREAD_PRODUCT(u2, v3) ^ `GF_SPREAD_PRODUCT(u3, v2)) & PLACE1)
                    | ((`GF_SPREAD_PRODUCT(u0, v2) ^ `GF_SPREAD_PRODUCT(u1, v1)
                      ^ `GF_SPREAD_PRODUCT(u2, v0) ^ `GF_SPREAD_PRODUCT(u3, v3)) & PLACE2)
                    | ((`GF_SPREAD_PRODUCT(u0, v3) ^ `GF_SPREAD_PRODUCT(u1, v2)
                      ^ `GF_SPREAD_PRODUCT(u2, v1) ^ `GF_SPREAD_PRODUCT(u3, v0)) & PLACE3);
        end
    endfunction

    always @* begin
        if (en) p = product({31'd0, a}, {31'd0, b});
        else    p = 63'd0;
    end

    `undef GF_SPREAD_PRODUCT

endmodule

`resetall
