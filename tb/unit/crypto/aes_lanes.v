// SPDX-License-Identifier: Apache-2.0
//
// aes_lanes: several AES lanes that feed themselves, to measure simulation speed. While run
// is high every lane encrypts one block per cycle; `digest` depends on every block.

`resetall
`default_nettype none

module aes_lanes #(
    parameter KEY_W = 128,  // key width in bits, 128 or 256
    parameter LANES = 4     // AES lanes, >= 1
) (
    input  wire         clk,
    input  wire         clear,
    input  wire         start,
    input  wire         run,
    output wire         ready,
    output reg  [127:0] digest
);

    wire [(KEY_W/32+7)*128-1:0] round_keys;

    aes_key_expand #(
        .KEY_W (KEY_W)
    ) u_keys (
        .clk        (clk),
        .clear      (clear),
        .start      (start),
        .key        ({(KEY_W/32){32'h01234567}}),
        .done       (ready),
        .round_keys (round_keys)
    );

    reg  [63:0]            count;
    wire [LANES-1:0]       valid;
    wire [LANES-1:0]       side;
    wire [LANES*128-1:0]   block;

    genvar l;
    generate
        for (l = 0; l < LANES; l = l + 1) begin : g_lane
            localparam [31:0] LANE = l;

            aes_encrypt #(
                .KEY_W  (KEY_W),
                .SIDE_W (1)
            ) u_lane (
                .clk        (clk),
                .clear      (clear),
                .round_keys (round_keys),
                .in_valid   (run),
                .in_block   ({count, 32'd0, LANE}),
                .in_side    (run),
                .out_valid  (valid[l]),
                .out_block  (block[l*128 +: 128]),
                .out_side   (side[l])
            );
        end
    endgenerate

    integer      k;
    reg  [127:0] folded;
    always @* begin
        folded = {127'd0, side == valid};
        for (k = 0; k < LANES; k = k + 1) folded = folded ^ block[k*128 +: 128];
    end

    always @(posedge clk) begin
        if (clear) begin
            count  <= 64'd0;
            digest <= 128'd0;
        end else begin
            if (run) count <= count + 64'd1;
            if (valid[0]) digest <= {digest[126:0], digest[127]} ^ folded;
        end
    end

endmodule

`resetall
