// SPDX-License-Identifier: Apache-2.0
//
// aes_keyed: key schedule and AES pipeline together, so that known-answer vectors, which
// name a key and not round keys, can be run. Ports as those of the two blocks.

`resetall
`default_nettype none

module aes_keyed #(
    parameter KEY_W  = 128,  // key width in bits, 128 or 256
    parameter SIDE_W = 8     // width of the side data in bits, >= 1
) (
    input  wire                         clk,
    input  wire                         clear,

    input  wire                         start,
    input  wire [KEY_W-1:0]             key,
    output wire                         done,
    output wire [(KEY_W/32+7)*128-1:0]  round_keys,

    input  wire                         in_valid,
    input  wire [127:0]                 in_block,
    input  wire [SIDE_W-1:0]            in_side,
    output wire                         out_valid,
    output wire [127:0]                 out_block,
    output wire [SIDE_W-1:0]            out_side
);

    aes_key_expand #(
        .KEY_W (KEY_W)
    ) u_expand (
        .clk        (clk),
        .clear      (clear),
        .start      (start),
        .key        (key),
        .done       (done),
        .round_keys (round_keys)
    );

    aes_encrypt #(
        .KEY_W  (KEY_W),
        .SIDE_W (SIDE_W)
    ) u_aes (
        .clk        (clk),
        .clear      (clear),
        .round_keys (round_keys),
        .in_valid   (in_valid),
        .in_block   (in_block),
        .in_side    (in_side),
        .out_valid  (out_valid),
        .out_block  (out_block),
        .out_side   (out_side)
    );

endmodule

`resetall
