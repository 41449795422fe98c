// SPDX-License-Identifier: Apache-2.0
//
// aes_key_expand: the AES key schedule (FIPS 197, section 5.2), one round key per cycle.
//
// The round keys are a shift register: each new one enters at the bottom, so that after
// the last the first has reached the top, and no write address is decoded.
//
// Byte order  NIST: the first byte of the key is key[KEY_W-1:KEY_W-8].
//             Example (FIPS 197, appendix A.1): key 128'h2b7e151628aed2a6abf7158809cf4f3c gives
//             round key 1 = 128'ha0fafe1788542cb123a339392a6c7605.
// Round keys  round key 0 is the top-most 128 bits of round_keys, round key NR the lowest.
// Handshake   start is a pulse that takes key; a start while busy begins anew. done is a
//             level: the schedule is complete. round_keys is zero while done is low.
// clear       erases the schedule in one cycle; use it as reset.
// Latency     done rises 11 (KEY_W 128) or 14 (KEY_W 256) cycles after start.

`resetall
`default_nettype none

module aes_key_expand #(
    parameter KEY_W = 128  // key width in bits, 128 or 256
) (
    input  wire                           clk,
    input  wire                           clear,

    input  wire                           start,
    input  wire [KEY_W-1:0]               key,

    output wire                           done,
    output wire [(KEY_W/32+7)*128-1:0]    round_keys
);

    localparam       NR    = KEY_W / 32 + 6;                 // rounds
    localparam       KEYS  = (NR + 1) * 128;                 // width of the schedule in bits
    localparam [3:0] STEPS = (KEY_W == 256) ? 4'd13 : 4'd10; // round keys that are computed

`ifndef SYNTHESIS
    initial begin
        if (KEY_W != 128 && KEY_W != 256) begin
            $error("%m: KEY_W is %0d, must be 128 or 256", KEY_W);
            $finish;
        end
    end
`endif

    reg [KEYS-1:0] schedule;
    reg [3:0]      left;      // round keys still to compute
    reg            complete;
    reg [7:0]      rcon;
    reg            plain;     // KEY_W 256: the next round key takes SubWord without RotWord and Rcon

    // The four words that lie KEY_W bits back, and the last word.
    wire [127:0] older = schedule[KEY_W-1 -: 128];
    wire [31:0]  last  = schedule[31:0];

    wire [31:0]  word  = plain ? last : {last[23:0], last[31:24]};
    wire [31:0]  subst;

    aes_sbox u_sbox0 (.x (word[31:24]), .y (subst[31:24]));
    aes_sbox u_sbox1 (.x (word[23:16]), .y (subst[23:16]));
    aes_sbox u_sbox2 (.x (word[15:8]),  .y (subst[15:8]));
    aes_sbox u_sbox3 (.x (word[7:0]),   .y (subst[7:0]));

    wire [31:0]  w0 = older[127:96] ^ subst ^ (plain ? 32'd0 : {rcon, 24'd0});
    wire [31:0]  w1 = older[95:64] ^ w0;
    wire [31:0]  w2 = older[63:32] ^ w1;
    wire [31:0]  w3 = older[31:0] ^ w2;

    always @(posedge clk) begin
        if (clear) begin
            schedule <= {KEYS{1'b0}};
            left     <= 4'd0;
            complete <= 1'b0;
            rcon     <= 8'd0;
            plain    <= 1'b0;
        end else if (start) begin
            schedule <= {{(KEYS-KEY_W){1'b0}}, key};
            left     <= STEPS;
            complete <= 1'b0;
            rcon     <= 8'h01;
            plain    <= 1'b0;
        end else if (left != 4'd0) begin
            schedule <= {schedule[KEYS-129:0], w0, w1, w2, w3};
            left     <= left - 4'd1;
            complete <= (left == 4'd1);
            plain    <= (KEY_W == 256) && !plain;
            if (!plain) rcon <= {rcon[6:0], 1'b0} ^ (8'h1b & {8{rcon[7]}});
        end
    end

    assign done       = complete;
    assign round_keys = complete ? schedule : {KEYS{1'b0}};

endmodule

`resetall
