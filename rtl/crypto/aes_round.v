// SPDX-License-Identifier: Apache-2.0
//
// aes_round: one registered round of AES encryption (FIPS 197, section 5.1): SubBytes,
// ShiftRows, MixColumns (not in the last round), AddRoundKey.
//
// The round exists twice. Synthesis builds it from aes_column (look-up S-boxes). Every
// other tool reads one word-level table look-up for each byte, which simulates several times faster; its
// table is computed from the definition of the S-box, not copied. The two are proven
// equal, register for register, by tests/rtl/test_crypto_equiv.py.
//
// Byte order  NIST: byte 0 of the state is bits [127:120]; byte 4c + r is row r, column c.
//             Example (FIPS 197, appendix B, round 1): in_block 128'h193de3bea0f4e22b9ac68d2ae9f84808
//             with round_key 128'ha0fafe1788542cb123a339392a6c7605
//             gives out_block 128'ha49c7ff2689f352b6b5bea43026a5049.
// Handshake   none: a block goes in whenever in_valid is high and never waits.
// clear       empties the stage in one cycle; use it as reset.
// Latency     1 cycle. Throughput 1 block per cycle.
// Clearing    out_block is zero while out_valid is low.

`resetall
`default_nettype none

module aes_round #(
    parameter LAST = 0  // 1: the last round, which has no MixColumns; 0 or 1
) (
    input  wire         clk,
    input  wire         clear,

    input  wire         in_valid,
    input  wire [127:0] in_block,
    input  wire [127:0] round_key,

    output reg          out_valid,
    output reg  [127:0] out_block
);

`ifdef SYNTHESIS

    wire [127:0] mixed;

    genvar c;
    generate
        for (c = 0; c < 4; c = c + 1) begin : g_column
            aes_column #(
                .LAST (LAST)
            ) u_column (
                .x ({
                    in_block[127 - 32 * c             -: 8],
                    in_block[119 - 32 * ((c + 1) % 4) -: 8],
                    in_block[111 - 32 * ((c + 2) % 4) -: 8],
                    in_block[103 - 32 * ((c + 3) % 4) -: 8]
                }),
                .q (mixed[127 - 32 * c -: 32])
            );
        end
    endgenerate

    always @(posedge clk) begin
        if (clear) begin
            out_valid <= 1'b0;
            out_block <= 128'd0;
        end else if (in_valid) begin
            out_valid <= 1'b1;
            out_block <= mixed ^ round_key;
        end else if (out_valid) begin
            out_valid <= 1'b0;
            out_block <= 128'd0;
        end
    end

`else

    // The S-box, entry v at bits [8v+7:8v]: p runs through all powers of the generator 3 and
    // q through their inverses; the affine map of q is the entry of p. It runs at elaboration
    // only, where no coverage is counted.
    // verilator coverage_off
    function [2047:0] all_substitutes;
        input [7:0] of_zero;
        reg   [7:0] p, q;
        integer     k;
        begin
            all_substitutes      = 2048'd0;
            all_substitutes[7:0] = of_zero;
            p = 8'd1;
            q = 8'd1;
            for (k = 0; k < 255; k = k + 1) begin
                p = p ^ {p[6:0], 1'b0} ^ (8'h1b & {8{p[7]}});
                q = q ^ {q[6:0], 1'b0};
                q = q ^ {q[5:0], 2'b00};
                q = q ^ {q[3:0], 4'b0000};
                q = q ^ (8'h09 & {8{q[7]}});
                all_substitutes[8*p +: 8] = of_zero ^ q ^ {q[6:0], q[7]} ^ {q[5:0], q[7:6]} ^ {q[4:0], q[7:5]}
                                          ^ {q[3:0], q[7:4]};
            end
        end
    endfunction

    // verilator coverage_on
    localparam [2047:0] SUBSTITUTES = all_substitutes(8'h63);

    // What a byte of row 0 adds to its column. Rows 1, 2 and 3 add the same, rotated right
    // by one, two and three bytes.
    function [31:0] addend;
        input [7:0] s;
        addend = (LAST != 0) ? {s, 24'd0} : {{s[6:0], 1'b0} ^ (8'h1b & {8{s[7]}}), s, s,
                                             {s[6:0], 1'b0} ^ (8'h1b & {8{s[7]}}) ^ s};
    endfunction

    reg [31:0] row0 [0:255];
    reg [31:0] row1 [0:255];
    reg [31:0] row2 [0:255];
    reg [31:0] row3 [0:255];

    function [31:0] rotate;  // right by n bytes
        input [31:0]  v;
        input integer n;
        rotate = (v >> (8 * n)) | (v << (32 - 8 * n));
    endfunction

    integer i;
    initial begin
        for (i = 0; i < 256; i = i + 1) begin
            row0[i] = addend(SUBSTITUTES[8*i +: 8]);
            row1[i] = rotate(addend(SUBSTITUTES[8*i +: 8]), 1);
            row2[i] = rotate(addend(SUBSTITUTES[8*i +: 8]), 2);
            row3[i] = rotate(addend(SUBSTITUTES[8*i +: 8]), 3);
        end
    end

    always @(posedge clk) begin
        if (clear) begin
            out_valid <= 1'b0;
            out_block <= 128'd0;
        end else if (in_valid) begin
            out_valid <= 1'b1;
            out_block <= round_key ^ {
                row0[in_block[127:120]] ^ row1[in_block[87:80]]   ^ row2[in_block[47:40]]   ^ row3[in_block[7:0]],
                row0[in_block[95:88]]   ^ row1[in_block[55:48]]   ^ row2[in_block[15:8]]    ^ row3[in_block[103:96]],
                row0[in_block[63:56]]   ^ row1[in_block[23:16]]   ^ row2[in_block[111:104]] ^ row3[in_block[71:64]],
                row0[in_block[31:24]]   ^ row1[in_block[119:112]] ^ row2[in_block[79:72]]   ^ row3[in_block[39:32]]
            };
        end else if (out_valid) begin
            out_valid <= 1'b0;
            out_block <= 128'd0;
        end
    end

`endif

endmodule

`resetall
