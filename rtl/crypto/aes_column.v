// SPDX-License-Identifier: Apache-2.0
//
// aes_column: SubBytes and MixColumns of one column of the AES state (FIPS 197, sections
// 5.1.1 and 5.1.3), as gates. The caller has done ShiftRows and adds the round key.
//
// Byte order  row 0 of the column is bits [31:24], row 3 is bits [7:0].
//             Example: s = 32'hdb135345 after SubBytes gives q = 32'h8e4da1bc.
// Latency     combinational. There is no clock.

`resetall
`default_nettype none

module aes_column #(
    parameter LAST = 0  // 1: the last round, which has no MixColumns; 0 or 1
) (
    input  wire [31:0] x,
    output wire [31:0] q
);

    // Multiplication by x in GF(2^8) with the polynomial x^8 + x^4 + x^3 + x + 1.
    function [7:0] xtime;
        input [7:0] v;
        xtime = {v[6:0], 1'b0} ^ (8'h1b & {8{v[7]}});
    endfunction

    wire [7:0] s0, s1, s2, s3;

    aes_sbox u_sbox0 (.x (x[31:24]), .y (s0));
    aes_sbox u_sbox1 (.x (x[23:16]), .y (s1));
    aes_sbox u_sbox2 (.x (x[15:8]),  .y (s2));
    aes_sbox u_sbox3 (.x (x[7:0]),   .y (s3));

    generate
        if (LAST != 0) begin : g_last
            assign q = {s0, s1, s2, s3};
        end else begin : g_mix
            // 2a + 3b + c + d = a + (a + b + c + d) + 2(a + b)
            wire [7:0] sum = s0 ^ s1 ^ s2 ^ s3;
            assign q = {
                s0 ^ sum ^ xtime(s0 ^ s1),
                s1 ^ sum ^ xtime(s1 ^ s2),
                s2 ^ sum ^ xtime(s2 ^ s3),
                s3 ^ sum ^ xtime(s3 ^ s0)
            };
        end
    endgenerate

endmodule

`resetall
