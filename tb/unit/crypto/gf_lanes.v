// SPDX-License-Identifier: Apache-2.0
//
// gf_lanes: several GF(2^128) multipliers that feed themselves, to measure simulation speed.
// While run is high each starts one product per cycle; `digest` depends on every product.

`resetall
`default_nettype none

module gf_lanes #(
    parameter LANES  = 4,  // multipliers, >= 1
    parameter STAGES = 2   // latency of a multiplier in cycles, 1 to 3
) (
    input  wire         clk,
    input  wire         clear,
    input  wire         start,
    input  wire         run,
    output wire         ready,
    output reg  [127:0] digest
);

    assign ready = !start;

    reg  [127:0]         factor;
    wire [LANES-1:0]     valid;
    wire [LANES*128-1:0] product;

    genvar l;
    generate
        for (l = 0; l < LANES; l = l + 1) begin : g_lane
            localparam [127:0] LANE = 128'h80000000000000000123456789abcdef + l;

            gf128_mul #(
                .STAGES (STAGES)
            ) u_mul (
                .clk       (clk),
                .clear     (clear),
                .in_valid  (run),
                .a         (factor ^ LANE),
                .b         (factor),
                .out_valid (valid[l]),
                .p         (product[l*128 +: 128])
            );
        end
    endgenerate

    integer      k;
    reg  [127:0] folded;
    always @* begin
        folded = 128'd0;
        for (k = 0; k < LANES; k = k + 1) folded = folded ^ product[k*128 +: 128];
    end

    always @(posedge clk) begin
        if (clear) begin
            factor <= 128'h66e94bd4ef8a2c3b884cfa59ca342b2e;
            digest <= 128'd0;
        end else begin
            if (run) factor <= {factor[126:0], factor[127] ^ factor[125] ^ factor[100] ^ factor[98]};
            if (&valid) digest <= {digest[126:0], digest[127]} ^ folded;
        end
    end

endmodule

`resetall
